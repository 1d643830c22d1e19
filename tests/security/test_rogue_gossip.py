"""Node records that are altered, old, foreign, out of range or without end: none counts, and all that is true stays.

What the CA holds is asked for as a neighbour asks, so "nothing changed" means the very bytes of every record.
"""

import secrets
import time
from collections.abc import Iterator
from hashlib import sha256

import pytest

from pulse import clock
from pulse.core.messages import RECORD_LIMIT, Digest, Have, Item, NodeRecords, ObjectKind, Objects, Prune, Want, pack
from pulse.core.paths.budget import OUTGOING
from pulse.core.paths.noderecord import ID_BYTES, NUMBER_LIMIT, certificate_hash
from pulse.core.trust.revocation import sign_revocation
from pulse.core.types import NodeId
from pulse.lab.host import wait_until
from pulse.store.authority import open_issuer
from tests.e2e import forgery
from tests.e2e.exchange import noise
from tests.e2e.mesh import PATIENCE, Node
from tests.security.link import Link
from tests.security.rogue import Rogue
from tests.security.scene import Scene, bad_member, memory, told_since, unharmed
from tests.security.voice import Voice, altered, flooded, held_records, maker_of, newest_of

QUIET = 0.6
"""Seconds after which what was said has had its effect."""
RATE = 10_000
ESCAPE = "\x1b]0;pwned\x07\x1b[2J"
GROWTH = 32 << 20
OUT_OF_RANGE = (2**32, 2**63 - 1, 2**64 - 1, -1)


@pytest.fixture(scope="module")
def voice(scene: Scene) -> Voice:
    """What the rogue says of itself."""
    return Voice(scene.rogue.shows)


@pytest.fixture
def link(scene: Scene, voice: Voice) -> Link:
    """A new link of the rogue's, which the whole mesh knows of."""
    made = scene.new_link()
    voice.says(made, made.there)
    wait_until(lambda: is_reached(scene.member, made.me), "the member sees a way to the rogue", PATIENCE)
    return made


@pytest.fixture
def victim(scene: Scene) -> Iterator[Link]:
    """A new link, to say what must change nothing: neither at the CA nor at the member, nor what the CA holds."""
    with unharmed(scene):
        made = scene.new_link()
        assert made.is_alive()
        yield made
        assert set(honest(scene)) <= set(map(maker_of, still_held(scene, made)))
        assert scene.ca.reaches(scene.member)


def honest(scene: Scene) -> list[bytes]:
    """By which certificates the records of CA and member are known."""
    return [certificate_hash(scene.certificate(node)) for node in (scene.ca, scene.member)]


def still_held(scene: Scene, link: Link) -> list[bytes]:
    """The records the CA holds of itself, the member and the rogue; asked over another link if that one has ended."""
    asking = link if link.is_up else scene.new_link()
    return held_records(asking, scene.member.v4, asking.me)


def is_reached(node: Node, handle: str) -> bool:
    """True while the node knows a way to whoever bears that handle."""
    return any(peer.v4 == handle and peer.link != "-" for peer in node.status().peers)


def record_of(scene: Scene, node: Node, link: Link) -> bytes:
    """The record of an honest node, as the CA passes it on."""
    maker = certificate_hash(scene.certificate(node))
    return next(each for each in held_records(link, scene.member.v4) if maker_of(each) == maker)


def test_a_true_record_counts_at_the_far_end_and_a_newer_one_replaces_it(
    scene: Scene, voice: Voice, link: Link
) -> None:
    """Else no refusal here would mean a thing."""
    voice.says(link)
    wait_until(lambda: not is_reached(scene.member, link.me), "without its neighbour nobody reaches it", PATIENCE)

    voice.says(link, link.there)
    wait_until(lambda: is_reached(scene.member, link.me), "with it everybody does", PATIENCE)


def test_lower_numbers_change_nothing(scene: Scene, voice: Voice, link: Link) -> None:
    stale = [(voice.boot, voice.seq - 1), (voice.boot, 0), (voice.boot - 1, NUMBER_LIMIT), (0, 0)]

    with unharmed(scene):
        link.says(*(NodeRecords([voice.record(boot=boot, seq=seq)]) for boot, seq in stale))
        link.pauses(QUIET)

    assert is_reached(scene.member, link.me)
    assert link.is_alive()


def test_the_same_record_again_and_again_changes_nothing(scene: Scene, voice: Voice, link: Link) -> None:
    same = voice.record(link.there)
    heard = still_held(scene, link)

    with unharmed(scene):
        link.says(NodeRecords([same] * 20), NodeRecords(heard), NodeRecords(heard))
        link.pauses(QUIET)

    assert is_reached(scene.member, link.me)
    assert link.is_alive()


def test_two_records_under_one_number_raise_the_alarm_and_the_lower_hash_stays(
    scene: Scene, voice: Voice, victim: Link
) -> None:
    voice.seq += 1
    pair = voice.record(victim.there, seq=voice.seq), voice.record(seq=voice.seq)
    first, other = sorted(pair, key=lambda record: sha256(record).digest())
    told = len(scene.ca.log)

    victim.says(NodeRecords([other]), NodeRecords([first]), NodeRecords([other]))

    told_since(scene.ca, told, "WARNING two records under one number")
    wait_until(lambda: first in still_held(scene, victim), "the lower hash is kept", PATIENCE)
    assert other not in still_held(scene, victim)


def test_a_record_altered_on_its_way_counts_for_nobody(scene: Scene, link: Link) -> None:
    """The rogue passes on the member's record with one bit changed, all over it."""
    true = record_of(scene, scene.member, link)
    spoiled = [true[:at] + bytes((true[at] ^ 1 << at % 8,)) + true[at + 1 :] for at in range(0, len(true), 7)]

    with unharmed(scene):
        for each in spoiled:
            if not link.is_up:
                link = scene.new_link()
            link.says(NodeRecords([each]))
            link.pauses(0.02)
        link.pauses(QUIET)
        held = still_held(scene, link)

    assert not set(spoiled) & set(held)
    assert scene.ca.reaches(scene.member)
    assert is_reached(scene.ca, scene.member.v4)


def cut_off(scene: Scene, link: Link, record: bytes, *words: str) -> None:
    """Say a record for which the CA hangs up; its log says why, in plain letters."""
    told = len(scene.ca.log)
    link.says(NodeRecords([record]))
    assert link.waits_closed() == (0, "protocol")
    told_since(scene.ca, told, "WARNING neighbour broke the protocol")
    said = scene.ca.log[told:]
    assert all(word in said for word in words), said
    assert all(char == "\n" or char.isprintable() for char in said)


def test_a_record_in_the_name_of_another_ends_the_link(scene: Scene, voice: Voice, victim: Link) -> None:
    for name in honest(scene):
        link = victim if victim.is_up else scene.new_link()
        lie = voice.forged(certificate=name, boot=NUMBER_LIMIT, seq=NUMBER_LIMIT)
        cut_off(scene, link, lie, "not signed by anyone")


def test_a_record_of_the_member_signed_by_the_rogue_ends_the_link(scene: Scene, voice: Voice, victim: Link) -> None:
    true = record_of(scene, scene.member, victim)

    lie = altered(true, {"boot": NUMBER_LIMIT, "neighbours": b""})
    cut_off(scene, victim, voice.signed(lie), "not signed by anyone")


@pytest.mark.parametrize("field", ["boot", "seq", "flags"])
@pytest.mark.parametrize("number", OUT_OF_RANGE)
def test_a_number_out_of_range_ends_the_link(scene: Scene, voice: Voice, victim: Link, field: str, number: int) -> None:
    cut_off(scene, victim, voice.forged(**{field: number}), "undecodable node record")


def test_the_highest_numbers_harm_nobody_but_who_said_them(scene: Scene) -> None:
    with Rogue(scene.pair.lab["s"], bad_member(scene.ca)) as other:
        its_link, its_voice = other.dials(scene.ca), Voice(other.shows)
        for number in (NUMBER_LIMIT - 1, NUMBER_LIMIT):
            its_link.says(NodeRecords([its_voice.record(its_link.there, boot=NUMBER_LIMIT, seq=number)]))
        wait_until(lambda: is_reached(scene.member, its_link.me), "it counts", PATIENCE)
        its_voice.boot, its_voice.seq = NUMBER_LIMIT, NUMBER_LIMIT
        its_link.says(NodeRecords([its_voice.record(boot=0, seq=0)]))
        its_link.pauses(QUIET)
        assert is_reached(scene.member, its_link.me)


HANDLE = bytes((10, 100, 1, 1))

MALFORMED: dict[str, dict[str, object]] = {
    "a version that moves a terminal": {"version": ESCAPE},
    "a version too long": {"version": "1" * 65},
    "a service that moves a terminal": {"services": [[ESCAPE, 80]]},
    "a service with a name too long": {"services": [["s" * 65, 80]]},
    "a service at port zero": {"services": [["web", 0]]},
    "a service at a port too high": {"services": [["web", 65_536]]},
    "nine services": {"services": [["web", 80]] * 9},
    "a candidate that moves a terminal": {"candidates": [ESCAPE]},
    "a candidate with a name": {"candidates": ["pulse.example:8443"]},
    "a candidate on loopback": {"candidates": ["127.0.0.1:8443"]},
    "a candidate for everybody": {"candidates": ["224.0.0.1:8443"]},
    "a candidate for the whole network": {"candidates": ["255.255.255.255:8443"]},
    "a link-local candidate": {"candidates": ["169.254.169.254:80"]},
    "a candidate without a port": {"candidates": ["198.18.0.9"]},
    "a candidate written otherwise": {"candidates": ["198.18.000.9:8443"]},
    "seven candidates": {"candidates": [f"198.18.0.{n}:8443" for n in range(1, 8)]},
    "an exit that is no network": {"exits": ["198.18.0.9/24"]},
    "an exit that moves a terminal": {"exits": [ESCAPE]},
    "an exit with a zone": {"exits": ["2001:db8::1%x/128"]},
    "an exit spelled in two ways": {"exits": ["::ffff:102:300/120"]},
    "nine exits": {"exits": ["198.18.0.0/24"] * 9},
    "half a neighbour": {"neighbours": HANDLE},
    "a neighbour twice": {"neighbours": (HANDLE + b"\0\1\0") * 2},
    "thirty-three neighbours": {"neighbours": b"".join(bytes((10, 100, 1, n, 0, 1, 0)) for n in range(33))},
    "no certificate": {"certificate": b""},
    "text for numbers": {"boot": "1", "seq": "1"},
}


@pytest.mark.parametrize("fields", MALFORMED.values(), ids=MALFORMED)
def test_a_malformed_record_ends_the_link(scene: Scene, voice: Voice, victim: Link, fields: dict[str, object]) -> None:
    cut_off(scene, victim, voice.forged(**fields))


def test_a_record_with_itself_for_a_neighbour_ends_the_link(scene: Scene, voice: Voice, victim: Link) -> None:
    own = bytes(map(int, victim.me.split("."))) + b"\0\1\0"

    cut_off(scene, victim, voice.forged(neighbours=own), "is its own")


@pytest.mark.parametrize(
    "record", [b"", b"\6\1", noise("record", 400), bytes(RECORD_LIMIT), b"\6\1" + bytes(64)], ids=len
)
def test_what_is_no_record_ends_the_link(scene: Scene, victim: Link, record: bytes) -> None:
    cut_off(scene, victim, record)


def test_a_record_too_long_ends_the_link(scene: Scene, voice: Voice, victim: Link) -> None:
    longest = voice.forged(version="1" * 64, exits=[f"2001:db8:{n:x}::/48" for n in range(8)])
    too_long = voice.signed([*altered(longest, {}), bytes(RECORD_LIMIT)])

    cut_off(scene, victim, too_long)


def test_a_record_and_a_certificate_of_a_revoked_node_count_for_nobody(scene: Scene, voice: Voice) -> None:
    """The rogue itself says the true revocation of its accomplice first, as any neighbour may, and then lies."""
    issuer = open_issuer(scene.ca.host.data)
    with Rogue(scene.pair.lab["s"], bad_member(scene.ca)) as accomplice:
        its_link, its_voice = accomplice.dials(scene.ca), Voice(accomplice.shows)
        its_voice.says(its_link, its_link.there)
        wait_until(lambda: is_reached(scene.member, its_link.me), "the accomplice is a member", PATIENCE)
        node = NodeId(its_link.me_id)
        revoked = sign_revocation(issuer.network, node, issuer.signer, time=clock.wall())
        link = scene.new_link()

        link.says(Objects([Item(ObjectKind.REVOCATION, revoked.data)]))
        assert its_link.waits_closed()[1] == "not trusted any more"
        newest = its_voice.record(link.there, link.me)
        link.says(NodeRecords([newest]), Objects([Item(ObjectKind.CERTIFICATE, its_voice.certificate.der)]))
        link.says(NodeRecords([newest]))
        link.pauses(QUIET)

        with pytest.raises(ConnectionRefusedError):
            accomplice.dials(scene.ca)
        asking = link if link.is_up else scene.new_link()
        held = held_records(asking, its_link.me)
    assert certificate_hash(its_voice.certificate) not in map(maker_of, held)
    assert not any(is_reached(node, its_link.me) for node in (scene.ca, scene.member))


CERTIFICATES = [forgery.self_signed, forgery.foreign, forgery.expired]


@pytest.mark.parametrize("forge", CERTIFICATES)
def test_a_forged_certificate_vouches_for_no_record(scene: Scene, voice: Voice, victim: Link, forge: object) -> None:
    assert callable(forge)
    false = Voice(forge(bad_member(scene.ca)))
    record = false.record(victim.there)

    victim.says(NodeRecords([record]), Objects([Item(ObjectKind.CERTIFICATE, false.certificate.der)]))
    victim.says(NodeRecords([record]))
    victim.pauses(QUIET)

    asking = victim if victim.is_up else scene.new_link()
    assert record not in held_records(asking, str(false.certificate.addresses.v4))
    assert not any(
        peer.v4 == str(false.certificate.addresses.v4)
        for node in (scene.ca, scene.member)
        for peer in node.status().peers
    )


# Without end


def withstood(scene: Scene, link: Link, said: list[bytes], per_second: float, reason: str) -> None:
    """Say these again and again; the CA hangs up with that reason, and nobody else notices."""
    told, held = len(scene.ca.log), memory(scene.ca)
    framed = b"".join(len(each).to_bytes(4) + each for each in said)
    turns = 0
    while link.is_up and turns < PATIENCE * per_second / len(said):
        link.utters(framed)
        link.pauses(len(said) / per_second)
        turns += 1
    assert link.waits_closed() == (0, reason)
    told_since(scene.ca, told, "WARNING neighbour sends too much")
    assert memory(scene.ca) - held <= GROWTH
    assert scene.ca.status().well


def test_ten_thousand_records_a_second_are_throttled_and_then_cut_off(scene: Scene, voice: Voice, victim: Link) -> None:
    records = [voice.record(victim.there) for _ in range(2000)]

    withstood(scene, victim, [pack(each) for each in flooded(records, 50)], RATE / 50, "too many records")

    again = scene.new_link()
    voice.says(again, again.there)
    assert again.is_alive()


@pytest.mark.parametrize(
    "message",
    [
        Digest(bytes(2048)),
        Want(noise("want", 4096 * ID_BYTES)),
        Want(b"", noise("hashes", 256 * 32)),
        Have(noise("have", 4096 * ID_BYTES)),
    ],
    ids=["digest", "want", "certificates", "have"],
)
def test_gossip_that_asks_without_end_is_cut_off(scene: Scene, victim: Link, message: Digest | Want | Have) -> None:
    withstood(scene, victim, [pack(message)] * 10, 2000, "too many records")


def test_who_wants_everything_again_and_again_gets_it_at_a_pace(scene: Scene, victim: Link) -> None:
    handles = (victim.there, scene.member.v4, victim.me)
    victim.messages.clear()
    began = time.monotonic()

    for _ in range(20):
        victim.says(*[Want(b"".join(map(newest_of, handles)))] * 100)
        victim.pauses(0.1)

    assert victim.is_alive()
    answered = sum(map(len, victim.messages))
    assert answered <= (OUTGOING.burst + time.monotonic() - began) * OUTGOING.size + 64 * 1024
    assert answered < 2000 * 200, "not one record for each time it was asked for"


def test_names_of_records_that_nobody_has_are_asked_for_and_forgotten(scene: Scene, victim: Link) -> None:
    held = memory(scene.ca)
    for turn in range(5):
        victim.says(Have(b"".join(bytes((10, 100)) + secrets.token_bytes(10) for _ in range(1000))))
        victim.pauses(0.4)
        assert victim.is_up, f"turn {turn}"

    assert victim.is_alive()
    assert memory(scene.ca) - held <= GROWTH


def test_who_wants_no_records_by_themselves_is_still_a_neighbour(scene: Scene, link: Link) -> None:
    link.says(*[Prune()] * 100)
    link.pauses(QUIET)

    assert link.is_alive()
    assert is_reached(scene.member, link.me)
