"""Holds: the longer, the more often; and calm heals."""

from hypothesis import given
from hypothesis import strategies as st

from pulse.core.paths.holds import CALM, CAP, FIRST, Hold


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
