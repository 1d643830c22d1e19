"""Spans and figures."""

import pytest

from pulse.cli.values import parse_moment, port_of
from pulse.errors import ConfigError
from pulse.wording import DASH, counted, day, milliseconds, moment, percent, span, spelled_span


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0 s"), (59.4, "59 s"), (600, "10 min"), (3599.7, "1 h"), (7200, "2 h"), (86400, "24 h"), (3 * 86400, "3 d")],
)
def test_a_span_has_one_unit(seconds: float, text: str) -> None:
    assert span(seconds) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(3600, "1 hour"), (5400, "90 minutes"), (604800, "7 days"), (61, "61 seconds"), (0.5, "1 second")],
)
def test_a_span_is_spelled_in_the_largest_whole_unit(seconds: float, text: str) -> None:
    assert spelled_span(seconds) == text


def test_figures_have_units_and_a_dash_stands_for_none() -> None:
    assert milliseconds(0.0228) == "22.8 ms"
    assert milliseconds(None) == DASH
    assert percent(0.0) == "0 %"
    assert percent(0.004) == "0.4 %"
    assert percent(None) == DASH


def test_days_and_moments_are_utc() -> None:
    assert day(0) == "1970-01-01"
    assert moment(61) == "1970-01-01T00:01:01Z"


def test_one_is_singular() -> None:
    assert (counted(1, "machine"), counted(2, "machine")) == ("1 machine", "2 machines")


@pytest.mark.parametrize(
    ("text", "at"),
    [
        ("2h", 1_000_000 - 7200),
        ("1h30m", 1_000_000 - 5400),
        ("1970-01-12", 950_400),
        ("1970-01-12T10:00", 986_400),
        ("1970-01-12T10:00:01Z", 986_401),
        ("1970-01-12T10:00+02:00", 979_200),
    ],
)
def test_a_moment_is_so_long_ago_or_a_time_of_utc(text: str, at: float) -> None:
    assert parse_moment(text, 1_000_000) == at


@pytest.mark.parametrize("text", ["", "yesterday", "10:00", "2026-13-01", "-2h", "0s"])
def test_what_is_no_moment_is_refused_with_one_that_is(text: str) -> None:
    with pytest.raises(ConfigError):
        parse_moment(text, 1_000_000)


@pytest.mark.parametrize("text", ["", "-1", "65536", "http", "1 2", "\N{ARABIC-INDIC DIGIT ONE}"])
def test_what_is_no_port_is_refused_with_an_example(text: str) -> None:
    assert port_of("65535") == 65535
    with pytest.raises(ConfigError, match="db-server:5432"):
        port_of(text)
