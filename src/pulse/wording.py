"""How figures read: times, lengths of time, parts, in the same words in every face.

Invariant: a figure has a unit, and what is not known has a dash.
"""

import time
from typing import Final

MINUTE: Final = 60.0
HOUR: Final = 3600.0
DAY: Final = 86400.0

DASH: Final = "\u2013"
"""Stands where there is nothing to show."""


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


def size(count: float) -> str:
    """Bytes as `812 B`, `4.1 kB`, `12.0 GB`: powers of a thousand."""
    if count < 1000:
        return f"{count:.0f} B"
    for unit in "kMGT":
        count /= 1000
        if count < 999.95:
            return f"{count:.1f} {unit}B"
    return f"{count / 1000:.1f} PB"


def speed(rate: float | None) -> str:
    """Bytes a second as `4.1 kB/s`."""
    return DASH if rate is None else f"{size(rate)}/s"
