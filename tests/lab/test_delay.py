"""When packets go on: late by what was asked for, in order unless they are to overtake, and none is forgotten."""

import itertools
import random
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pulse.lab.delay import Schedule
from pulse.lab.impairment import Impairment

pauses = st.lists(st.floats(0, 0.2), max_size=50)


def run(what: Impairment, waits: Sequence[float], seed: int = 0) -> list[tuple[int, float, float]]:
    """Let packets arrive after these waits; returns (which, when it came, when it left) in the order they left."""
    schedule, now = Schedule(random.Random(seed)), 0.0
    came: list[float] = []
    schedule.impairment = what
    left: list[tuple[int, float, float]] = []

    def leave(until: float) -> None:
        while (deadline := schedule.deadline()) is not None and deadline <= until:
            assert schedule.leaving(deadline - 1e-9) == []
            left.extend((int(packet), came[int(packet)], deadline) for packet in schedule.leaving(deadline))

    for number, wait in enumerate(waits):
        now += wait
        leave(now)
        came.append(now)
        schedule.arrived(str(number).encode(), now)
    leave(float("inf"))
    assert sorted(number for number, _, _ in left) == list(range(len(waits)))
    return left


@given(pauses, st.integers(0, 1000))
def test_with_jitter_order_is_kept_and_each_wait_is_in_its_range(waits: list[float], seed: int) -> None:
    left = run(Impairment(delay_ms=50, jitter_ms=30), waits, seed)

    assert [number for number, _, _ in left] == list(range(len(waits)))
    assert all(0.02 - 1e-6 <= leaves - came <= 0.08 + 1e-6 for _, came, leaves in left)


@given(pauses)
def test_without_jitter_every_packet_waits_as_long(waits: list[float]) -> None:
    assert all(abs(leaves - came - 0.05) < 1e-6 for _, came, leaves in run(Impairment(delay_ms=50), waits))


def test_a_share_of_packets_overtakes_the_others() -> None:
    left = run(Impairment(delay_ms=50, reorder_percent=20), [0.001] * 1000)

    at_once = [number for number, came, leaves in left if leaves == came]
    assert 100 < len(at_once) < 300
    assert [number for number, _, _ in left] != list(range(1000))
    others = [number for number, came, leaves in left if leaves != came]
    assert others == sorted(others)


IPV4, IPV6 = bytes(12) + b"\x08\x00" + bytes(40), bytes(12) + b"\x86\xdd" + bytes(60)


@pytest.mark.parametrize(("share", "burst"), [(1, 2), (10, 8), (30, 50), (70, 3)])
def test_bursts_are_as_long_and_loss_as_great_as_asked_for(share: float, burst: int) -> None:
    schedule = Schedule(random.Random(0))
    schedule.impairment = Impairment(loss_percent=share, burst=burst)
    lost = []
    for number in range(200_000):
        schedule.arrived(IPV4, number)
        lost.append(not schedule.leaving(number))

    bursts = sum(now and not before for before, now in itertools.pairwise(lost))
    assert sum(lost) / len(lost) == pytest.approx(share / 100, rel=0.2)
    assert sum(lost) / bursts == pytest.approx(burst, rel=0.2)


def test_neighbours_are_found_in_the_midst_of_a_burst() -> None:
    schedule = Schedule(random.Random(0))
    schedule.impairment = Impairment(loss_percent=99.9, burst=1000)
    arp = bytes(12) + b"\x08\x06" + bytes(28)
    solicitation = IPV6[:20] + bytes([58]) + bytes(33) + bytes([135])
    echo = IPV6[:20] + bytes([58]) + bytes(33) + bytes([128])
    for packet in (IPV4, arp, IPV6, solicitation, echo) * 20:
        schedule.arrived(packet, 0.0)

    assert schedule.leaving(0.0) == [arp, solicitation] * 20


def test_packets_under_a_shorter_delay_do_not_wait_for_those_under_the_old_one() -> None:
    schedule = Schedule(random.Random(0))
    schedule.impairment = Impairment(delay_ms=1000)
    schedule.arrived(b"old", 0.0)
    schedule.impairment = Impairment(delay_ms=10)
    schedule.arrived(b"new", 0.1)

    assert schedule.leaving(0.2) == [b"new"]
    assert schedule.deadline() == 1.0
