"""Hours: windows as people write them, and when they open and close, as a naive clock says."""

from calendar import timegm

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pulse.core.network.hours import EVERY_DAY, Window, parse_window
from pulse.errors import ConfigError
from tests.authority import NOW

MINUTE = 60.0
WEEK = 7 * 86400


def at(day: int, hour: int, minute: int = 0) -> float:
    """A moment of the week that begins on Monday, 21 September 2026."""
    return float(timegm((2026, 9, 21 + day, hour, minute, 0)))


@pytest.mark.parametrize(
    ("text", "window", "shown"),
    [
        ("mon-fri,09:00-18:00", Window(0b11111, 540, 1080), "mon-fri 09:00-18:00 UTC"),
        ("sat, sun", Window(0b1100000, 0, 1440), "sat-sun 00:00-24:00 UTC"),
        ("fri-mon,22:30-6:00", Window(0b1110001, 1350, 360), "mon,fri-sun 22:30-06:00 UTC"),
        ("09:00-24:00 UTC", Window(EVERY_DAY, 540, 1440), "09:00-24:00 UTC"),
        ("mon 20:00-00:00Z", Window(0b1, 1200, 1440), "mon 20:00-24:00 UTC"),
    ],
)
def test_a_window_is_read_as_people_write_it_and_shown_with_its_zone(text: str, window: Window, shown: str) -> None:
    assert parse_window(text) == window
    assert str(window) == shown
    assert parse_window(str(window)) == window


@pytest.mark.parametrize(
    "text", ["", "monday", "mon-fry", "9-18", "25:00-26:00", "09:00-09:00", "09:60-10:00", "24:30-25:00", "utc"]
)
def test_what_is_no_window_is_refused_with_one_that_is(text: str) -> None:
    with pytest.raises(ConfigError, match="mon-fri,09:00-18:00"):
        parse_window(text)


def test_a_window_over_midnight_belongs_to_the_day_it_opens_on() -> None:
    friday_night = parse_window("fri,22:00-06:00")

    assert not friday_night.is_open(at(4, 21, 59))
    assert friday_night.is_open(at(4, 22))
    assert friday_night.is_open(at(5, 5, 59))
    assert not friday_night.is_open(at(5, 6))
    assert not friday_night.is_open(at(5, 23))
    assert friday_night.next_turn(at(4, 23)) == at(5, 6)
    assert friday_night.next_turn(at(5, 6)) == at(11, 22)


windows = st.builds(Window, st.integers(1, EVERY_DAY), st.integers(0, 1439), st.integers(1, 1440)).filter(
    lambda window: window.start != window.end
)


@given(windows, st.integers(0, WEEK // 60), st.integers(0, 59))
def test_a_window_is_open_as_a_naive_clock_says_and_turns_when_that_changes(
    window: Window, minute: int, second: int
) -> None:
    moment = at(0, 0) + minute * MINUTE + second

    def naive(wall: float) -> bool:
        of_week = int((wall - at(0, 0)) // MINUTE) % (7 * 1440)
        day, of_day = divmod(of_week, 1440)
        today, yesterday = window.days >> day & 1, window.days >> (day - 1) % 7 & 1
        if window.start < window.end:
            return bool(today) and window.start <= of_day < window.end
        return bool(today and of_day >= window.start) or bool(yesterday and of_day < window.end)

    assert window.is_open(moment) == naive(moment)
    turn = window.next_turn(moment)
    assert moment < turn <= moment + WEEK + 86400
    assert window.is_open(turn) == naive(turn)
    steps = range(int(moment // MINUTE) + 1, int(turn // MINUTE), 7)
    assert all(naive(step * MINUTE) == naive(moment) for step in steps)


def test_the_tests_begin_on_a_monday() -> None:
    assert parse_window("mon").is_open(NOW)
