"""What people type and read: durations, sizes of time, names, in the same words everywhere.

Invariant: a value that cannot be read is refused with an example of one that can.
"""

import datetime
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Final

from cyclopts import Parameter

from pulse import clock
from pulse.core.durations import is_duration, parse_duration
from pulse.errors import ConfigError

MINUTE: Final = 60.0
HOUR: Final = 3600.0
DAY: Final = 86400.0

DASH: Final = "\u2013"
"""Stands where there is nothing to show."""


def parse_moment(text: str, now: float) -> float:
    """Seconds since 1970 of `2h` (ago), `2026-11-26` or `2026-11-26T10:00` (UTC, unless it says else).

    Raises ConfigError.
    """
    if is_duration(text):
        return now - parse_duration(text)
    try:
        found = datetime.datetime.fromisoformat(text)
    except ValueError as error:
        raise ConfigError(f'"{text}" is no time. Write 2h (ago) or 2026-11-26T10:00 (UTC)') from error
    return (found if found.tzinfo else found.replace(tzinfo=datetime.UTC)).timestamp()


def _converted_duration(_: Any, tokens: Sequence[Any]) -> float:
    return parse_duration(tokens[0].value)


def _converted_moment(_: Any, tokens: Sequence[Any]) -> float:
    return parse_moment(tokens[0].value, clock.wall())


Duration = Annotated[float, Parameter(converter=_converted_duration, n_tokens=1, metavar="DURATION")]
DataDir = Annotated[Path | None, Parameter(help="Data directory of the node to ask, if not the usual one.")]
When = Annotated[float, Parameter(converter=_converted_moment, n_tokens=1, metavar="TIME")]
"""A time as people type it, in seconds since 1970."""

Json = Annotated[bool, Parameter(help="Print JSON, for programs.")]


def span(seconds: float) -> str:
    """A length of time in one unit: `45 s`, `10 min`, `2 h`, `3 d`."""
    seconds = round(seconds)
    if seconds < MINUTE:
        return f"{seconds} s"
    if seconds < HOUR:
        return f"{seconds // MINUTE:.0f} min"
    return f"{seconds // HOUR:.0f} h" if seconds < 2 * DAY else f"{seconds // DAY:.0f} d"


def spelled_span(seconds: float) -> str:
    """A length of time in words: `1 hour`, `90 minutes`, `7 days`."""
    for unit, word in ((DAY, "day"), (HOUR, "hour"), (MINUTE, "minute"), (1.0, "second")):
        if seconds >= unit and round(seconds) % unit == 0:
            return counted(int(seconds // unit), word)
    return counted(max(1, round(seconds)), "second")


def counted(number: int, word: str) -> str:
    """`1 machine`, `3 machines`."""
    return f"{number} {word}" if number == 1 else f"{number} {word}s"


def milliseconds(seconds: float | None) -> str:
    """A round trip as `22.8 ms`."""
    return DASH if seconds is None else f"{seconds * 1000:.1f} ms"


def percent(part: float | None) -> str:
    """A part from 0 to 1 as `0 %`, `0.4 %`."""
    return DASH if part is None else f"{part * 100:.1f}".removesuffix(".0") + " %"


def day(at: float) -> str:
    """The day, UTC, of seconds since 1970."""
    return time.strftime("%Y-%m-%d", time.gmtime(at))


def moment(at: float) -> str:
    """The second, UTC, of seconds since 1970."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(at))
