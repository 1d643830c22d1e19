"""Durations as people write them."""

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pulse.core.durations import duration_text, parse_duration
from pulse.errors import ConfigError


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("30s", 30), ("15m", 900), ("4h", 14400), ("7d", 604800), ("2w", 1209600), ("1h30m", 5400), ("0.5h", 1800)],
)
def test_a_duration_is_numbers_with_units(text: str, seconds: float) -> None:
    assert parse_duration(text) == seconds


@pytest.mark.parametrize("text", ["", "4", "h", "4x", "-4h", "4 h", "1h 30m", "4H", "0s", "0h0m"])
def test_anything_else_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(ConfigError, match=r"Write 30s, 15m, 4h"):
        parse_duration(text)


@given(st.text(max_size=20))
def test_a_duration_is_read_or_refused(text: str) -> None:
    with contextlib.suppress(ConfigError):
        assert parse_duration(text) > 0


@given(st.integers(1, 10**9))
def test_whole_seconds_come_back_as_they_were_written(seconds: int) -> None:
    assert parse_duration(duration_text(seconds)) == seconds
    assert [duration_text(each) for each in (14400, 5400, 604800)] == ["4h", "1h30m", "1w"]
