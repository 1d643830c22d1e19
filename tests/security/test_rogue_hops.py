"""Frames for others, from a member that lies in their headers: the first honest hop drops each and counts why.

The CA is the honest relay between the rogue and the member. What it does pass on is dropped by the member for want of a
key, which shows that it came and that nobody but the far end can judge it.
"""

import json
from collections.abc import Iterator
from dataclasses import replace
from functools import partial

import pytest

from pulse.lab.host import wait_until
from tests.e2e.exchange import noise
from tests.e2e.mesh import PATIENCE, Node
from tests.namespace import ip_json
from tests.security.frames import TTL, UNSPECIFIED, Clear, Header, Hop, Kind
from tests.security.link import Link
from tests.security.packets import Ends, datagram, echo, syn
from tests.security.rogue import Rogue
from tests.security.scene import Scene, bad_member, drops, settle, told_since, unharmed, unmoved
from tests.security.session import RECORD, Session
from tests.security.voice import Voice

NOBODY = "10.100.99.99"
ROUNDS = 500
HALVES = 64
"""Halves of frames that may wait at a time."""
TOO_LATE = 0.2
"""Seconds after which a half is given up for certain."""


def record(turn: int = 0) -> bytes:
    """What looks like a record, under an index that is nobody's."""
    return bytes((RECORD, 0, 0, 0)) + noise(f"record {turn}", 60)


@pytest.fixture
def link(scene: Scene) -> Iterator[Link]:
    """The rogue's link with the relay; it lives on, and nobody notices what went over it."""
    with unharmed(scene):
        yield scene.link
        assert scene.link.is_alive()


@pytest.fixture(scope="module")
def far(scene: Scene) -> Iterator[Link]:
    """The link of another rogue with the relay."""
    with Rogue(scene.pair.lab["s"], bad_member(scene.ca)) as accomplice:
        made = accomplice.dials(scene.ca)
        assert made.is_alive()
        # Else the member would know no way back to it.
        Voice(accomplice.shows).says(made, made.there)
        settle(scene.ca, scene.member)
        yield made


@pytest.fixture
def onward(scene: Scene, link: Link) -> Header:
    """An honest header for the member, over the relay."""
    return Header(link.me, scene.member.v4, Kind.RECORD)


def received_by_tun(node: Node) -> int:
    """Packets its daemon ever wrote to its TUN device."""
    (device,) = (each for each in ip_json(node.host.namespace, "-s", "link", "show", "dev", "pulse0"))
    return int(device["stats64"]["rx"]["packets"])


def test_an_honest_frame_is_passed_on(scene: Scene, link: Link, onward: Header) -> None:
    """Else no refusal here would mean a thing."""
    with drops(scene.ca), drops(scene.member, unknown_index=3):
        link.throws(*(link.seals(onward, record(turn)) for turn in range(3)))


LIES: dict[str, tuple[dict[str, str | int], str]] = {
    "ttl used up": ({"ttl": 1}, "ttl_exceeded"),
    "ttl zero": ({"ttl": 0}, "ttl_exceeded"),
    "from nobody": ({"src": NOBODY}, "unknown_source"),
    "from the very node it is for": ({"src": "member"}, "unknown_source"),
    "from the relay itself": ({"src": "relay"}, "own_source"),
    "from the unspecified address": ({"src": UNSPECIFIED}, "unknown_source"),
    "from the broadcast address": ({"src": "255.255.255.255"}, "unknown_source"),
    "to nobody": ({"dst": NOBODY}, "no_route"),
    "to the broadcast address": ({"dst": "255.255.255.255"}, "no_route"),
    "back to where it came from": ({"src": "member", "dst": "rogue"}, "no_way_but_back"),
    "as the last hop to nobody": ({"dst": NOBODY, "flags": Hop.LAST}, "not_adjacent"),
    "as the last hop to where it came from": ({"src": "member", "dst": "rogue", "flags": Hop.LAST}, "not_adjacent"),
}


@pytest.mark.parametrize("kind", [Kind.RECORD, Kind.SESSION, Kind.PATH_PROBE, Kind.PARITY], ids=lambda kind: kind.name)
@pytest.mark.parametrize(("lie", "reason"), LIES.values(), ids=LIES)
def test_a_header_that_no_relay_follows_is_dropped_by_the_first(
    scene: Scene, link: Link, onward: Header, lie: dict[str, str | int], reason: str, kind: Kind
) -> None:
    names = {"member": scene.member.v4, "relay": link.there, "rogue": link.me}
    fields = {name: names.get(str(value), value) for name, value in lie.items()}
    header = replace(onward, kind=kind, **fields)  # type: ignore[arg-type]

    with drops(scene.ca, **{reason: 3}), drops(scene.member):
        link.throws(*(link.seals(header, record(turn)) for turn in range(3)))


def test_a_probe_of_a_link_goes_no_further_than_that_link(scene: Scene, link: Link, onward: Header) -> None:
    probes = [replace(onward, kind=Kind.LINK_PROBE, ttl=ttl) for ttl in (1, 2, TTL, 255)]

    with drops(scene.ca, not_for_us=len(probes)), drops(scene.member):
        link.throws(*(link.seals(each, link.probe()[2]) for each in probes))


def test_what_a_relay_passes_on_leaves_no_trace_in_its_kernel(scene: Scene) -> None:
    """Whatever that kernel forwards: a frame for another node is never written to the relay's own TUN."""
    for node in (scene.ca, scene.member):
        node.host.run(["sysctl", "-qw", "net.ipv4.ip_forward=1", "net.ipv6.conf.all.forwarding=1"])
    link, there = scene.link, scene.member.v4
    packet = echo(Ends(link.me, there))
    before = received_by_tun(scene.ca)

    with drops(scene.ca), drops(scene.member, truncated=1, unknown_index=100):
        link.throws(link.seals(Header(link.me, there, Kind.RECORD), packet[:7]))
        link.throws(*(link.seals(Header(link.me, there, Kind.RECORD), packet) for _ in range(100)))

    assert received_by_tun(scene.ca) == before


def test_a_forged_ttl_takes_a_frame_no_further_than_an_honest_one(scene: Scene, far: Link, link: Link) -> None:
    with drops(scene.ca):
        for ttl in (2, TTL, 200, 255):
            link.sends(Header(link.me, far.me, Kind.RECORD, ttl=ttl), record())
        far.waits(lambda: len(far.frames) == 4, "all arrive")

    assert [frame.header.ttl for frame in far.frames] == [1, TTL - 1, TTL - 1, TTL - 1]


def test_two_rogues_that_keep_a_frame_going_pay_for_each_round_themselves(scene: Scene, far: Link) -> None:
    """Each hop of it is a frame that one of them sent: the relay adds none, and its kernel sees none."""
    link, before = scene.link, (received_by_tun(scene.ca), received_by_tun(scene.member))
    far.frame_taker = lambda frame: bounced(far, link, frame.header.kind)
    link.frame_taker = lambda frame: bounced(link, far, frame.header.kind)

    with unmoved(scene.ca, scene.member), drops(scene.ca), drops(scene.member):
        link.sends(Header(link.me, far.me, Kind.RECORD, ttl=255), record())
        wait_until(lambda: far.bounces >= ROUNDS, "the frame goes round and round", PATIENCE)
        far.frame_taker = link.frame_taker = None

    assert 0 <= far.bounces - link.bounces <= 1
    assert (received_by_tun(scene.ca), received_by_tun(scene.member)) == before


def bounced(here: Link, there: Link, kind: int) -> bool:
    """Send what came straight back, with all the hops there can be; probes are left alone."""
    if kind != Kind.RECORD:
        return False
    here.bounces += 1
    here.sends(Header(here.me, there.me, Kind.RECORD, ttl=255), record())
    return True


def test_a_session_from_the_handle_of_another_is_refused_beyond_a_relay_too(
    scene: Scene, far: Link, link: Link
) -> None:
    """A relay cannot know whose a handle is; the far end asks for the certificate."""
    told = len(scene.member.log)

    session = Session([link, far], src=far.me, to=scene.certificate(scene.member))

    assert session.waits_closed()[1] == "refused"
    told_since(scene.member, told, f"came from ::ffff:{far.me}, which is not its address")
    assert "session up" not in scene.member.log[told:]


# Framed records, whose header anybody on the way could have rewritten


@pytest.fixture(scope="module")
def session(scene: Scene) -> Session:
    """A session of the rogue's with keys for records, with the CA at the other end of its link."""
    made = Session([scene.link])
    made.waits_up()
    return made


def test_a_framed_record_is_opened(scene: Scene, session: Session) -> None:
    """Else no refusal below would mean a thing."""
    heard = len(session.heard.packets)

    with unharmed(scene), drops(scene.ca):
        scene.link.throws(session.frames(echo(Ends(scene.link.me, scene.link.there))))
        scene.link.waits(lambda: len(session.heard.packets) > heard, "the ping is answered")


REWRITTEN: dict[str, dict[str, str | int]] = {
    "another protocol": {"proto": 6},
    "another source port": {"sport": 443},
    "another destination port": {"dport": 443},
    "both ports": {"sport": 7, "dport": 7},
    "no ports": {"sport": 0, "dport": 0},
    "a fragment": {"flags": Hop.FRAG},
    "from another member": {"src": "10.100.6.8"},
    "from nobody": {"src": NOBODY},
}


@pytest.mark.parametrize("fields", REWRITTEN.values(), ids=REWRITTEN)
def test_a_record_whose_header_tells_another_flow_is_dropped(
    scene: Scene, link: Link, session: Session, fields: dict[str, str | int]
) -> None:
    """The policy of the hops saw 443; what is inside goes to 22."""
    packet = datagram(Ends(link.me, link.there), 50_000, 22)

    with drops(scene.ca, header_mismatch=3):
        link.throws(*(session.frames(packet, **fields) for _ in range(3)))


def test_a_record_in_a_frame_is_judged_as_a_bare_one(scene: Scene, link: Link, session: Session) -> None:
    spoofed = Ends(scene.member.v4, link.there)
    foreign = Ends(link.me, scene.member.v4)
    again = session.frames(echo(Ends(link.me, link.there)))

    with drops(scene.ca, spoofed_source=1, foreign_destination=1, replayed=1):
        link.throws(session.frames(echo(spoofed)), session.frames(echo(foreign)), again, again)


# Frames in two halves


def halves(link: Link, session: Session) -> tuple[Header, bytes, bytes]:
    """The header of a framed record, and both halves of its body."""
    packet = datagram(Ends(link.me, link.there), 50_000, 22, noise("half", 900))
    body = session.seals(packet)
    header = Header(link.me, link.there, Kind.RECORD, packet[9], 50_000, 22)
    return header, body[: len(body) // 2], body[len(body) // 2 :]


def test_two_halves_are_a_whole(scene: Scene, link: Link, session: Session) -> None:
    """Nobody listens at that port: the answer is an ICMP error, which shows that the packet arrived."""
    header, first, second = halves(link, session)
    number, heard = link.takes_counters(2), len(session.heard.packets)

    with drops(scene.ca):
        link.throws(link.seals(header, second, counter=number + 1, clear=Clear.SECOND_HALF))
        link.throws(link.seals(header, first, counter=number, clear=Clear.FIRST_HALF))
        link.waits(lambda: len(session.heard.packets) > heard, "it is answered")


def test_halves_of_different_frames_make_none(scene: Scene, link: Link, session: Session) -> None:
    header, first, second = halves(link, session)
    number = link.takes_counters(2)

    with drops(scene.ca, half_frame=2):
        link.throws(link.seals(header, first, counter=number, clear=Clear.FIRST_HALF))
        other = replace(header, dport=23)
        link.throws(link.seals(other, second, counter=number + 1, clear=Clear.SECOND_HALF))


def test_halves_spliced_from_two_records_do_not_open(scene: Scene, link: Link, session: Session) -> None:
    header, first, _ = halves(link, session)
    _, _, second = halves(link, session)
    number = link.takes_counters(2)

    with drops(scene.ca, bad_seal=1):
        link.throws(link.seals(header, first, counter=number, clear=Clear.FIRST_HALF))
        link.throws(link.seals(header, second, counter=number + 1, clear=Clear.SECOND_HALF))


def test_a_frame_that_is_both_halves_at_once_or_half_a_probe_is_none(
    scene: Scene, link: Link, session: Session
) -> None:
    header, first, _ = halves(link, session)
    _, probe, body = link.probe()

    with drops(scene.ca, half_frame=3):
        link.throws(link.seals(header, first, clear=Clear.FIRST_HALF | Clear.SECOND_HALF))
        for half in (Clear.FIRST_HALF, Clear.SECOND_HALF):
            link.throws(link.seals(probe, body, clear=Clear.BODY_SEALED | half))


def test_halves_without_end_push_out_their_own_kind_alone(scene: Scene, link: Link, session: Session) -> None:
    header, first, _ = halves(link, session)
    many = 10 * HALVES

    with drops(scene.ca, half_frame=many, bad_seal=1):
        for _ in range(many):
            link.throws(link.seals(header, first, counter=link.takes_counters(2), clear=Clear.FIRST_HALF))
        wait_until(lambda: scene.ca.drops.get("half_frame", 0) >= many - HALVES, "most are pushed out", PATIENCE)
        # The rest is given up when the next half comes too late for it; that one is joined, if to nothing of sense.
        link.pauses(TOO_LATE)
        number = link.takes_counters(2)
        link.throws(link.seals(header, first, counter=number, clear=Clear.FIRST_HALF))
        link.throws(link.seals(header, first, counter=number + 1, clear=Clear.SECOND_HALF))


# Rules, typed at the scribe: the last tests here, for they are about packets between the rogue and the member


@pytest.fixture(scope="module")
def onward_session(scene: Scene) -> Session:
    """A session of the rogue's with the member, over the relay, from when there were no rules yet."""
    Voice(scene.rogue.shows).says(scene.link, scene.link.there)
    settle(scene.ca, scene.member)
    made = Session([scene.link], to=scene.certificate(scene.member))
    made.waits_up()
    return made


@pytest.fixture(scope="module")
def ruled(scene: Scene, onward_session: Session) -> Session:
    """From now on the rogue may send the member UDP to port 443 and nothing else; for all others nothing changes."""
    ca, member, rogue = scene.ca, scene.member, scene.link.me_id
    ca.host.pulse("ca", "grant", ca.host.name, "scribe")
    named = ("--from", rogue, "--to", member.status().node.id)
    ca.host.pulse("acl", "add", "--from", "*", "--to", "*")
    ca.host.pulse("acl", "add", *named, "--deny", "--at", "1")
    said = ca.host.pulse("acl", "add", *named, "--proto", "udp", "--ports", "443", "--at", "1").stdout
    listed = partial(member.host.pulse, "acl", "list", "--json")
    wait_until(lambda: f'"{said.split()[-1]}"' in listed().stdout, "the member has the rules", PATIENCE)
    return onward_session


def answers(scene: Scene) -> int:
    """Records of the member's that came to the rogue."""
    told = [frame.header for frame in scene.link.frames]
    return sum(header.kind == Kind.RECORD and header.src == scene.member.v4 for header in told)


def test_what_its_own_header_says_is_judged_by_the_relay_though_the_source_judged_nothing(
    scene: Scene, ruled: Session
) -> None:
    ends = Ends(scene.link.me, scene.member.v4)

    with drops(scene.ca, policy_denied=6), drops(scene.member):
        scene.link.throws(*(ruled.frames(datagram(ends, 50_000, 22)) for _ in range(3)))
        scene.link.throws(*(ruled.frames(syn(ends, 50_000, 443)) for _ in range(2)), ruled.frames(echo(ends)))
    with drops(scene.ca), drops(scene.member):
        scene.link.throws(ruled.frames(datagram(ends, 50_000, 443)))
        scene.link.waits(lambda: answers(scene), "what is allowed is answered")
    own = json.loads(scene.ca.host.pulse("acl", "hits", "--here", "--json").stdout)["rules"]
    assert all(each["flows"] > 0 for each in own[:2])


def test_a_header_that_says_what_is_allowed_gets_no_further_than_the_end_where_it_is_found_out(
    scene: Scene, ruled: Session
) -> None:
    """R3: outer 443, inner 22. The relay can know no better; the member opens the record and compares."""
    inner = datagram(Ends(scene.link.me, scene.member.v4), 50_000, 22)

    with drops(scene.ca), drops(scene.member, header_mismatch=3):
        scene.link.throws(*(ruled.frames(inner, dport=443) for _ in range(3)))
