"""HolePunch: one attempt, from the first probe to the open hole or the last one."""

from hypothesis import given
from hypothesis import strategies as st

from pulse.core.effects import SendProbe
from pulse.core.paths.holepunch import GIVE_UP, LINGER, MOST_PLACES, SCHEDULE, HolePunch, Phase, attempt_of
from pulse.core.types import NodeId
from tests.core.paths.story import ALICE, BOB, HOME, WORK

ATTEMPT = attempt_of(bytes(32), ALICE, BOB)
ELSEWHERE = "203.0.113.9:50001"


def probes_until(punch: HolePunch, end: float) -> list[tuple[float, str]]:
    """Everything it sends up to a time, each with its own."""
    sent = []
    while (due := punch.deadline()) is not None and due <= end:
        for effect in punch.tick(due):
            assert isinstance(effect, SendProbe)
            sent.append((due, effect.address))
    return sent


def test_both_ends_make_the_same_attempt_and_each_others_keys() -> None:
    other = attempt_of(bytes(32), BOB, ALICE)

    assert (ATTEMPT.number, ATTEMPT.ours, ATTEMPT.theirs) == (other.number, other.theirs, other.ours)
    assert attempt_of(b"\1" * 32, ALICE, BOB).number != ATTEMPT.number
    assert str(ATTEMPT.ours) not in repr(ATTEMPT)


def test_an_attempt_of_two_nonces_is_this_one() -> None:
    attempt = attempt_of(bytes(range(32)), NodeId("1" * 64), NodeId("2" * 64))

    assert attempt.number == 0x6747068F873D0BD3
    assert attempt.ours.hex() == "bd17662779b91303c5179d12b257ba7f8b6d7ba4ff401feee82e2795ca7a2bee"


def test_every_place_is_probed_at_each_time_of_the_schedule_and_then_it_has_failed() -> None:
    punch = HolePunch(ATTEMPT, (HOME, WORK), 100.0)

    assert probes_until(punch, 1e9) == [(100.0 + at, place) for at in SCHEDULE for place in (HOME, WORK)]
    assert (punch.phase, punch.opened) == (Phase.FAILED, "")
    assert punch.is_over(100.0 + GIVE_UP)


def test_the_first_probe_that_comes_opens_and_nothing_more_is_sent() -> None:
    punch = HolePunch(ATTEMPT, (HOME, WORK), 0.0)
    probes_until(punch, 0.02)
    punch.probe_received(WORK, echo=True, now=0.03)
    punch.probe_received(HOME, echo=False, now=0.04)

    assert (punch.phase, punch.opened) == (Phase.OPEN, WORK)
    assert probes_until(punch, 1.0) == []
    assert (punch.is_over(0.03 + LINGER - 0.01), punch.is_over(0.03 + LINGER)) == (False, True)
    assert [(each.sent, each.answered, each.heard) for each in punch.tallies.values()] == [(2, 0, 1), (2, 1, 0)]


def test_a_port_that_a_nat_made_up_is_a_place_like_the_others() -> None:
    punch = HolePunch(ATTEMPT, (HOME,), 0.0)
    punch.probe_received(ELSEWHERE, echo=False, now=0.01)

    assert (punch.phase, punch.opened) == (Phase.OPEN, ELSEWHERE)


def test_a_node_without_places_may_yet_be_heard() -> None:
    punch = HolePunch(ATTEMPT, (), 0.0)
    assert probes_until(punch, 3.0) == []
    punch.probe_received(ELSEWHERE, echo=False, now=3.0)

    assert punch.opened == ELSEWHERE


@given(st.lists(st.tuples(st.integers(1, 60), st.booleans()), max_size=60))
def test_whatever_comes_the_places_stay_few(heard: list[tuple[int, bool]]) -> None:
    punch = HolePunch(ATTEMPT, tuple(f"192.0.2.{each}:1" for each in range(20)), 0.0)
    for number, echo in heard:
        punch.probe_received(f"198.51.100.{number}:1", echo=echo, now=1.0)

    assert len(punch.tallies) <= 2 * MOST_PLACES
