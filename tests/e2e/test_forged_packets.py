"""Packets that lie, come twice or mean nothing: each is dropped and counted, and a flow beside them never notices.

Each test leaves the pair as it was.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import pytest

from pulse.lab.host import Host
from tests.e2e.exchange import arrives_whole, connected, digesting, noise, unharmed_flow
from tests.e2e.mesh import PORT, Pair
from tests.e2e.wire import FRAME, RECORD, Datagram, Tap, inject, tapped, throw
from tests.namespace import ip

ONE_PACKET = 1472
"""Longer ones are many in one, as the kernel hands them to the cable."""


@contextmanager
def calling_itself(host: Host, address: str) -> Iterator[None]:
    """Meanwhile the host's mesh interface has one more address."""
    ip(host.namespace, "address", "add", address, "dev", "pulse0")
    try:
        yield
    finally:
        ip(host.namespace, "address", "delete", address, "dev", "pulse0")


@pytest.mark.parametrize("liar", ["10.100.200.201/32", "192.0.2.77/32"])
def test_a_source_address_that_is_not_the_senders_is_dropped_and_counted(pair: Pair, liar: str) -> None:
    there = pair.ca.v4

    with unharmed_flow(pair.member, pair.ca), calling_itself(pair.member.host, liar):
        dropped = pair.ca.dropped("spoofed_source", lambda: pair.member.shouts(there, "-I", liar.partition("/")[0]), 3)

    assert dropped == 3


def test_an_ipv6_source_address_that_is_not_the_senders_is_dropped_and_counted(pair: Pair) -> None:
    there, liar = pair.ca.v6, f"{pair.member.v6.rpartition(':')[0]}:1"

    with unharmed_flow(pair.member, pair.ca), calling_itself(pair.member.host, f"{liar}/128"):
        dropped = pair.ca.dropped("spoofed_source", lambda: pair.member.shouts(there, "-I", liar), 3)

    assert dropped == 3


def test_a_packet_for_an_address_that_is_nobodys_is_dropped_and_counted(pair: Pair) -> None:
    assert pair.member.dropped("unknown_destination", lambda: pair.member.shouts("10.100.200.203"), 3) == 3


def heard(pair: Pair, kind: int) -> Datagram:
    """A datagram of that kind, fresh from the wire, from the member to the CA."""
    door = (str(pair.ca.host.v4.ip), PORT)
    with tapped(pair.member.host) as tap:
        pair.member.pings(pair.ca.v4, "-c", "1")
        return tap.wait(
            lambda passed: passed.first == kind and passed.target == door and len(passed.payload) < ONE_PACKET
        )


@pytest.mark.parametrize("kind", [RECORD, FRAME])
def test_what_was_heard_on_the_wire_and_is_sent_again_is_dropped_and_counted(pair: Pair, kind: int) -> None:
    with unharmed_flow(pair.member, pair.ca):
        copy = heard(pair, kind)

        dropped = pair.ca.dropped("replayed", lambda: inject(pair.member.host, *[copy] * 5), 5)

    assert dropped == 5


@pytest.mark.parametrize("kind", [RECORD, FRAME])
def test_a_datagram_with_one_bit_changed_is_dropped_and_counted(pair: Pair, kind: int) -> None:
    with unharmed_flow(pair.member, pair.ca):
        copy = heard(pair, kind)
        # Counter and seal: each byte after the index.
        flipped = [replace(copy, payload=flip(copy.payload, place)) for place in range(8, 33)]

        dropped = pair.ca.dropped("bad_seal", lambda: inject(pair.member.host, *flipped), 25)

    assert dropped == 25


@pytest.mark.parametrize("kind", [RECORD, FRAME])
def test_the_stump_of_a_datagram_is_dropped_and_counted(pair: Pair, kind: int) -> None:
    with unharmed_flow(pair.member, pair.ca):
        copy = heard(pair, kind)
        stumps = [replace(copy, payload=copy.payload[:size]) for size in (8, 16, 31)]

        dropped = pair.ca.dropped("truncated", lambda: inject(pair.member.host, *stumps), 3)

    assert dropped == 3


def flip(data: bytes, place: int) -> bytes:
    """The same bytes but for one bit."""
    return data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :]


NOBODYS = (*range(0x21), *range(0x24, 0x40))
"""First bytes that are neither of a frame, a punch probe or a record, nor of QUIC."""

GARBAGE = {
    "unknown_kind": [bytes([first]) + noise("kind", 63) for first in NOBODYS],
    "unknown_index": [bytes([kind]) + noise("index", size) for kind in (FRAME, RECORD) for size in (7, 31, 1400)],
    "truncated": [bytes([kind]) + bytes(size) for kind in (FRAME, RECORD) for size in (0, 3, 6)],
}


@pytest.mark.parametrize("reason", GARBAGE)
def test_garbage_is_dropped_and_counted(pair: Pair, reason: str) -> None:
    thrown, door = GARBAGE[reason], str(pair.ca.host.v4.ip)

    with unharmed_flow(pair.member, pair.ca):
        dropped = pair.ca.dropped(reason, lambda: throw(pair.member.host, door, *thrown), len(thrown))

    assert dropped == len(thrown)


def test_noise_that_looks_like_quic_harms_nobody(pair: Pair) -> None:
    thrown = [bytes([first, *noise(f"quic {first}", size)]) for first in range(0x40, 0x100) for size in (20, 1199)]

    with unharmed_flow(pair.member, pair.ca):
        throw(pair.member.host, str(pair.ca.host.v4.ip), *thrown)

    assert len(pair.ca.status().peers) == 1
    assert pair.ca.status().well


def test_nothing_a_person_sends_over_the_mesh_can_be_read_on_the_wire(pair: Pair) -> None:
    canary = b"a canary sings in the clear and is heard by everybody" * 20
    there = pair.ca.v4
    with tapped(pair.ca.host) as tap, digesting(pair.ca.host, there, 1) as port:
        with connected(pair.member.host, pair.member.v4, (there, port)) as flow:
            assert arrives_whole(flow, canary)
        assert_silent(tap, canary[:53])


def assert_silent(tap: Tap, canary: bytes) -> None:
    """The wire had traffic, and none of it was the canary."""
    passed = tap.rest()
    assert sum(len(datagram.payload) for datagram in passed if datagram.first == RECORD) > len(canary)
    assert not any(canary in datagram.payload for datagram in passed)
