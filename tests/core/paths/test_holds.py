"""Holds: the longer, the more often; and calm heals."""

from hypothesis import given
from hypothesis import strategies as st

from pulse.core.paths.holds import CALM, CAP, FIRST, STANDING, Doubt, Hold


def lengths(*pauses: float) -> list[float]:
    """How long each hold lasts that starts so many seconds after the one before ended."""
    hold, now, found = Hold(), 0.0, []
    for pause in pauses:
        now += pause
        hold.start(now)
        found.append(hold.until - now)
        now = hold.until
    return found


def test_a_hold_doubles_up_to_ten_minutes() -> None:
    assert lengths(*[0.0] * 9) == [8, 16, 32, 64, 128, 256, 512, 600, 600]


def test_calm_halves_the_next_hold() -> None:
    assert lengths(0, 0, 0, CALM, 2 * CALM, 99 * CALM) == [8, 16, 32, 32, 16, 8]


def test_a_hold_that_starts_anew_before_it_ended_doubles_too() -> None:
    hold = Hold()
    hold.start(0.0)
    hold.start(5.0)

    assert hold.until == 5.0 + 2 * FIRST


@given(pauses=st.lists(st.floats(0, 1e12), min_size=1, max_size=50))
def test_no_hold_is_shorter_than_the_first_or_longer_than_the_cap(pauses: list[float]) -> None:
    hold, now = Hold(), 0.0
    for pause in pauses:
        now += pause
        hold.start(now)
        assert now + FIRST <= hold.until <= now + CAP


def test_a_hold_is_forgotten_when_the_next_would_be_the_first() -> None:
    hold = Hold()
    assert hold.is_forgotten(0.0)
    hold.start(0.0)
    hold.start(FIRST)

    assert not hold.is_forgotten(hold.until)
    assert not hold.is_forgotten(hold.until + CALM)
    assert hold.is_forgotten(hold.until + 2 * CALM)


# Doubts


def test_what_works_again_is_held_until_its_time_is_over() -> None:
    doubt = Doubt()
    doubt.raised(0.0)
    assert doubt.is_suspect(1.0)
    doubt.cleared()

    assert not doubt.is_suspect(1.0)
    assert doubt.is_held(FIRST - 1)
    assert not doubt.is_held(FIRST)


def test_a_suspicion_nobody_takes_back_ends_by_itself_and_longer_holds_outlast_it() -> None:
    doubt, now = Doubt(), 0.0
    doubt.raised(now)
    assert doubt.next_change(now) == FIRST
    assert doubt.next_change(FIRST) == STANDING
    assert doubt.is_suspect(STANDING - 1)
    assert not doubt.is_suspect(STANDING)

    for _ in range(4):
        now += STANDING + 5
        doubt.raised(now)
    assert doubt.is_suspect(now + 2 * STANDING)
    assert doubt.next_change(now + STANDING) == now + 16 * FIRST


def test_that_a_way_still_fails_is_no_second_failure() -> None:
    doubt = Doubt()
    doubt.raised(0.0)
    doubt.raised(1.0)
    doubt.cleared()

    assert not doubt.is_held(FIRST)


def test_each_failure_after_a_recovery_is_held_longer() -> None:
    doubt, held = Doubt(), []
    for again in range(4):
        now = again * 100.0
        doubt.raised(now)
        doubt.cleared()
        held.append(next(after for after in range(1000) if not doubt.is_held(now + after)))

    assert held == [8, 16, 32, 64]


def test_a_doubt_is_forgotten_once_nothing_is_held_against_the_way() -> None:
    doubt = Doubt()
    assert doubt.is_forgotten(0.0)
    doubt.raised(0.0)

    assert not doubt.is_forgotten(1.0)
    assert doubt.is_forgotten(FIRST + CALM + 1)
    assert doubt.next_change(FIRST + CALM + 1) is None
