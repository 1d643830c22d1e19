"""Birthday probing: who does what of it, how much, how often, and what is refused."""

from collections.abc import Callable
from itertools import pairwise
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pulse.core.effects import Attempt, Effect, SendProbe, SendProbesApart
from pulse.core.messages import Birthday
from pulse.core.paths.birthday import (
    BATCH,
    EVERY,
    GIVE_UP,
    HIGHEST,
    LEAD,
    LOWEST,
    NEAR,
    PROBES,
    REACH,
    REST,
    BirthdayPunch,
    Birthdays,
    Plan,
    guesses,
)
from pulse.core.paths.holepunch import LINGER, Phase
from pulse.core.paths.nat import Mapping, Nat
from tests.authority import node

BOB = node("bob")
ATTEMPT = Attempt(7, bytes(32), bytes(32))
PLACE, HOST = "203.0.113.2:41641", "203.0.113.2"
SYMMETRIC = Birthday("symmetric", [f"{HOST}:30100", f"{HOST}:30007"])
CONE = Birthday("cone", [PLACE])
HERE = "198.51.100.1:9"


def node_behind(mapping: Mapping, *seen: str, enabled: bool = True) -> Birthdays:
    return Birthdays(enabled, lambda: Nat(mapping, 2), lambda: seen or (HERE,))


def planned(
    theirs: Birthday,
    mapping: Mapping,
    *seen: str,
    now: float = 0.0,
    may_probe: Callable[[str], bool] = lambda _: True,
    at: Birthdays | None = None,
) -> Plan | None:
    ours = at or node_behind(mapping, *seen)
    return ours.plan(BOB, Birthday(mapping, [HERE]), theirs, may_probe, Random(1), now)


def ran(punch: BirthdayPunch) -> list[tuple[float, Effect]]:
    """All that an attempt does whose probes nobody hears."""
    done: list[tuple[float, Effect]] = []
    while (due := punch.deadline()) is not None:
        done += [(due, each) for each in punch.tick(due)]
    return done


def test_the_end_behind_the_symmetric_nat_opens_sockets_and_the_other_guesses() -> None:
    opens, guessing = planned(CONE, Mapping.SYMMETRIC), planned(SYMMETRIC, Mapping.CONE)

    assert opens == Plan(BOB, HOST, PLACE)
    assert guessing is not None
    assert (guessing.host, guessing.place, len(guessing.ports)) == (HOST, "", PROBES)


@pytest.mark.parametrize(
    ("mapping", "theirs"),
    [
        (Mapping.SYMMETRIC, SYMMETRIC),
        (Mapping.CONE, CONE),
        (Mapping.CONE, Birthday("none", [PLACE])),
        (Mapping.CONE, Birthday("of the future", [PLACE])),
        (Mapping.CONE, Birthday("symmetric", [])),
        (Mapping.CONE, Birthday("symmetric", ["[2001:db8::1]:443"])),
    ],
)
def test_for_any_other_two_there_is_no_plan(mapping: Mapping, theirs: Birthday) -> None:
    assert planned(theirs, mapping) is None


def test_what_may_not_be_dialled_is_not_probed() -> None:
    for mapping, theirs in ((Mapping.CONE, SYMMETRIC), (Mapping.SYMMETRIC, CONE)):
        assert planned(theirs, mapping, may_probe=lambda _: False) is None


def test_nobody_guesses_at_its_own_router() -> None:
    assert planned(SYMMETRIC, Mapping.CONE, f"{HOST}:9") is None


def test_who_is_off_or_behind_another_nat_or_seen_by_nobody_offers_nothing() -> None:
    assert node_behind(Mapping.CONE).offer(BOB, 0.0) == Birthday("cone", [HERE])
    assert node_behind(Mapping.CONE, enabled=False).offer(BOB, 0.0) is None
    assert node_behind(Mapping.NONE).offer(BOB, 0.0) is None
    assert node_behind(Mapping.UNKNOWN).offer(BOB, 0.0) is None
    assert Birthdays(True, lambda: Nat(Mapping.CONE, 2)).offer(BOB, 0.0) is None


def test_one_node_is_probed_once_an_hour_and_so_is_one_host_whoever_names_it() -> None:
    us = node_behind(Mapping.CONE)
    plan = planned(SYMMETRIC, Mapping.CONE, at=us)
    assert plan is not None
    us.begun(plan, 0.0)

    assert us.offer(BOB, REST - 1) is None
    assert us.offer(node("carol"), 1.0) is not None
    assert planned(SYMMETRIC, Mapping.CONE, at=us, now=REST - 1) is None
    assert planned(Birthday("symmetric", ["203.0.113.3:1"]), Mapping.CONE, at=us, now=1.0) is not None
    assert us.offer(BOB, REST) is not None
    assert planned(SYMMETRIC, Mapping.CONE, at=us, now=REST) is not None


def test_no_more_is_sent_than_may_be_and_no_faster() -> None:
    for plan, first in ((planned(SYMMETRIC, Mapping.CONE), LEAD), (planned(CONE, Mapping.SYMMETRIC), 0.0)):
        assert plan is not None
        done = ran(punch := BirthdayPunch(ATTEMPT, plan, 0.0))
        sent = [(at, each.count if isinstance(each, SendProbesApart) else 1) for at, each in done]

        assert sum(count for _, count in sent) == PROBES
        assert punch.phase is Phase.FAILED
        assert punch.is_over(GIVE_UP)
        times = sorted({at for at, _ in sent})
        assert times[0] == first
        assert all(later - earlier >= EVERY - 1e-9 for earlier, later in pairwise(times))
        assert max(sum(count for at, count in sent if at == when) for when in times) == BATCH


def test_each_guess_goes_to_that_host_and_to_a_port_of_its_own() -> None:
    plan = planned(SYMMETRIC, Mapping.CONE)
    assert plan is not None
    guessed = [each.address for _, each in ran(BirthdayPunch(ATTEMPT, plan, 0.0)) if isinstance(each, SendProbe)]

    assert len({*guessed}) == PROBES
    assert all(each.startswith(f"{HOST}:") for each in guessed)


def test_all_sockets_send_to_the_one_place() -> None:
    plan = planned(CONE, Mapping.SYMMETRIC)
    assert plan is not None
    punch = BirthdayPunch(ATTEMPT, plan, 0.0)

    assert {each.address for _, each in ran(punch) if isinstance(each, SendProbesApart)} == {PLACE}
    assert punch.tallies[PLACE].sent == PROBES
    assert punch.attempt.by_birthday


def test_once_a_probe_is_heard_no_more_are_sent() -> None:
    plan = planned(SYMMETRIC, Mapping.CONE)
    assert plan is not None
    punch = BirthdayPunch(ATTEMPT, plan, 0.0)
    punch.tick(LEAD)
    punch.probe_received(f"{HOST}:30042", echo=True, now=LEAD + 0.05)

    assert punch.phase is Phase.OPEN
    assert ran_until(punch, LEAD + 10) == []
    assert punch.is_over(LEAD + 0.05 + LINGER)


def ran_until(punch: BirthdayPunch, end: float) -> list[Effect]:
    return [each for step in range(int(end * 10)) for each in punch.tick(step / 10)]


@given(st.lists(st.integers(1, 65535), max_size=3), st.integers())
def test_ports_are_guessed_once_and_near_those_seen_first(seen: list[int], seed: int) -> None:
    ports = guesses(seen, Random(seed))

    assert len({*ports}) == len(ports) == PROBES
    assert all(LOWEST <= port <= HIGHEST for port in ports)
    usable = [port for port in seen if port >= LOWEST + REACH]
    if usable:
        assert all(any(abs(port - each) <= REACH for each in seen) for port in ports[:NEAR])
