"""A relay that rewrites, splices, repeats, bends and keeps what it was given to pass on (R1, R2, R3 of security.md).

CA and member reach each other over the rogue alone, so whatever it does is done to all they say. Nobody but the far end
can find it out: each lie is dropped there, under the named reason, and once the rogue behaves all is as before.
"""

import socket
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from pulse.lab.host import wait_until
from pulse.lab.lab import Lab
from tests.e2e.exchange import arrives_whole, connected, digesting, noise, open_socket
from tests.e2e.mesh import PATIENCE, Node, bring_up
from tests.namespace import require_root
from tests.security.frames import Hop, Kind
from tests.security.relay import LyingRelay, Passing, towards
from tests.security.rogue import Rogue
from tests.security.scene import TOGETHER, apart, bad_member, drops

NOBODY = "10.100.99.99"
DISCARD = 9


@dataclass(frozen=True)
class Between:
    """Two daemons and the rogue between them."""

    ca: Node
    member: Node
    relay: LyingRelay


@pytest.fixture(scope="module")
def between() -> Iterator[Between]:
    """A pair that only the rogue joins; it was honest so far."""
    require_root()
    with Lab(TOGETHER) as lab:
        pair = bring_up(lab, "--log-level", "debug")
        with Rogue(lab["r"], bad_member(pair.ca)) as rogue, apart(pair.ca, pair.member):
            relay = LyingRelay(rogue)
            relay.joins(pair.ca, pair.member)
            wait_until(lambda: pair.member.reaches(pair.ca), "the member reaches the CA over the rogue", PATIENCE)
            yield Between(pair.ca, pair.member, relay)
        assert pair.errors == []


@pytest.fixture
def relay(between: Between) -> Iterator[LyingRelay]:
    """The rogue, to be told to lie; afterwards both daemons talk as before."""
    yield between.relay
    assert between.member.pings(between.ca.v4, "-c", "1").code == 0
    assert between.ca.pings(between.member.v6, "-c", "1").code == 0


def lied_to(between: Between, relay: LyingRelay, lie: object, **reasons: int) -> None:
    """The member sends three pings to the CA, of which the relay makes what it likes: the CA drops them and no more."""
    assert callable(lie)
    there = between.ca.v4
    with relay.meddling(towards(there, lie)), drops(between.ca, **reasons), drops(between.member):
        between.member.shouts(there)


def test_an_honest_rogue_is_a_relay_and_reads_nothing(between: Between, relay: LyingRelay) -> None:
    """R1: no byte of what they say is to be found in what it passed on."""
    canary = b"a canary sings in the clear and is heard by everybody" * 2000
    relay.bodies.clear()
    relay.seen.clear()

    with (
        digesting(between.ca.host, between.ca.v4, 1) as port,
        connected(between.member.host, between.member.v4, (between.ca.v4, port)) as flow,
    ):
        assert arrives_whole(flow, canary)

    passed = list(relay.bodies)
    assert relay.seen[Kind.RECORD] > 0
    assert sum(map(len, passed)) > len(canary)
    assert not any(canary[:16] in body for body in passed)


REWRITTEN: dict[str, tuple[dict[str, str | int], str]] = {
    "from nobody": ({"src": NOBODY}, "header_mismatch"),
    "from the relay": ({"src": "relay"}, "header_mismatch"),
    "from the victim": ({"src": "victim"}, "own_source"),
    "to nobody": ({"dst": NOBODY}, "no_route"),
    "to nobody, by the last hop": ({"dst": NOBODY, "flags": Hop.LAST}, "not_adjacent"),
    "back to the relay": ({"dst": "relay"}, "no_way_but_back"),
    "another protocol": ({"proto": 6}, "header_mismatch"),
    "another source port": ({"sport": 443}, "header_mismatch"),
    "another destination port": ({"dport": 443}, "header_mismatch"),
    "a fragment": ({"flags": Hop.FRAG}, "header_mismatch"),
    "redundancy": ({"kind": Kind.PARITY}, "unknown_index"),
}


@pytest.mark.parametrize(("fields", "reason"), REWRITTEN.values(), ids=REWRITTEN)
def test_a_rewritten_header_is_found_out(
    between: Between, relay: LyingRelay, fields: dict[str, str | int], reason: str
) -> None:
    names = {"victim": between.ca.v4, "relay": relay.rogue.handle}
    said = {name: names.get(str(value), value) for name, value in fields.items()}

    lied_to(between, relay, lambda passing: (passing.saying(**said),), **{reason: 3})


def test_a_ttl_that_says_too_much_or_too_little_harms_nobody_at_the_far_end(
    between: Between, relay: LyingRelay
) -> None:
    told = iter((0, 1, 255))

    with relay.meddling(towards(between.ca.v4, lambda passing: (passing.saying(ttl=next(told)),))), drops(between.ca):
        assert between.member.pings(between.ca.v4).code == 0


@pytest.mark.parametrize(
    ("place", "reason"),
    [
        (0, "bad_seal"),
        (1, "bad_seal"),
        (2, "bad_seal"),
        (4, "unknown_index"),
        (15, "bad_seal"),
        (16, "bad_seal"),
        (-1, "bad_seal"),
    ],
)
def test_a_bit_changed_in_the_body_is_found_out(between: Between, relay: LyingRelay, place: int, reason: str) -> None:
    def bend(passing: Passing) -> tuple[Passing, ...]:
        body = bytearray(passing.frame.body)
        body[place] ^= 1
        return (passing.bearing(bytes(body)),)

    lied_to(between, relay, bend, **{reason: 3})


@pytest.mark.parametrize("size", [0, 7, 8, 31])
def test_a_body_cut_short_is_found_out(between: Between, relay: LyingRelay, size: int) -> None:
    lied_to(between, relay, lambda passing: (passing.bearing(passing.frame.body[:size]),), truncated=3)


def test_what_comes_again_is_found_out(between: Between, relay: LyingRelay) -> None:
    lied_to(between, relay, lambda passing: (passing,) * 5, replayed=12)


def test_halves_of_two_bodies_do_not_open(between: Between, relay: LyingRelay) -> None:
    kept: list[Passing] = []

    def splice(passing: Passing) -> tuple[Passing, ...]:
        kept.append(passing)
        if len(kept) < 3:
            return ()
        first, second, third = (each.frame.body for each in kept)
        half = len(first) // 2
        return tuple(
            passing.bearing(body)
            for body in (first[:half] + second[half:], second[:half] + third[half:], third[:half] + first[half:])
        )

    lied_to(between, relay, splice, bad_seal=3)


def test_the_body_of_one_flow_under_the_header_of_another_is_found_out(between: Between, relay: LyingRelay) -> None:
    kept: list[Passing] = []

    def swap(passing: Passing) -> tuple[Passing, ...]:
        kept.append(passing)
        if len(kept) < 2:
            return ()
        one, other = kept
        return one.bearing(other.frame.body), other.bearing(one.frame.body)

    there = between.ca.v4
    with (
        open_socket(between.member.host, between.member.v4, socket.SOCK_DGRAM) as one,
        open_socket(between.member.host, between.member.v4, socket.SOCK_DGRAM) as other,
        relay.meddling(towards(there, swap)),
        drops(between.ca, header_mismatch=2),
    ):
        one.sendto(noise("one", 100), (there, DISCARD))
        other.sendto(noise("other", 100), (there, DISCARD))
        wait_until(lambda: len(kept) == 2, "both are passed on", PATIENCE)


def test_what_is_thrown_back_is_found_out_by_who_said_it(between: Between, relay: LyingRelay) -> None:
    there = between.ca.v4
    with relay.meddling(towards(there, lambda passing: (passing.turned_back(),))), drops(between.member, own_source=3):
        between.member.shouts(there)

    def disguise(passing: Passing) -> tuple[Passing, ...]:
        header = passing.frame.header
        return (passing.turned_back().saying(src=header.dst, dst=header.src),)

    with relay.meddling(towards(there, disguise)), drops(between.member, unknown_index=3):
        between.member.shouts(there)


def test_what_comes_late_or_in_another_order_still_counts_once(between: Between, relay: LyingRelay) -> None:
    kept: list[Passing] = []

    def hold(passing: Passing) -> tuple[Passing, ...]:
        kept.append(passing)
        return () if len(kept) < 3 else tuple(kept[::-1])

    with relay.meddling(towards(between.ca.v4, hold)), drops(between.ca), drops(between.member):
        assert " 3 received" in between.member.pings(between.ca.v4, "-i", "0.1").stdout


def test_session_packets_bent_for_a_while_do_not_end_the_session(between: Between, relay: LyingRelay) -> None:
    told = len(between.ca.log), len(between.member.log)

    def bend(passing: Passing) -> tuple[Passing, ...]:
        return (passing.bearing(bytes(byte ^ 0x5A for byte in passing.frame.body)),)

    with relay.meddling(bend, Kind.SESSION):
        between.ca.tries("ping", between.member.v4, "--count", "1", "--timeout", "2")

    assert between.ca.tries("ping", between.member.v4, "--count", "1").code == 0
    assert "session down" not in between.ca.log[told[0] :] + between.member.log[told[1] :]


def test_a_relay_cannot_answer_for_the_peer_whether_a_path_is_well(between: Between, relay: LyingRelay) -> None:
    """It keeps the question and sends it back as the answer it would like to be."""

    def answer(passing: Passing) -> tuple[Passing, ...]:
        header, body = passing.frame.header, passing.frame.body
        echo = passing.turned_back().saying(src=header.dst, dst=header.src)
        return (echo.bearing(bytes((1, *body[1:]))), echo)

    before = sum(node.drops.get("probe_refused", 0) for node in (between.ca, between.member))
    with relay.meddling(answer, Kind.PATH_PROBE):
        between.member.pings(between.ca.v4, "-c", "15")
        wait_until(
            lambda: sum(node.drops.get("probe_refused", 0) for node in (between.ca, between.member)) >= before + 4,
            "false answers are refused",
            PATIENCE,
        )
