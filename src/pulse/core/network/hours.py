"""When a rule counts: until it ends, and inside its window of the week.

All hours are UTC, so a rule turns at the same moment at every node. Invariant: a clock that may be wrong never opens
anything: by it rules with times only ever deny.
"""

import re
from collections.abc import Iterator
from typing import Annotated, Final, NamedTuple

import msgspec

from pulse.core.messages import Wire
from pulse.errors import ConfigError

MINUTES: Final = 24 * 60
DAYS: Final = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
EVERY_DAY: Final = 0b111_1111

_MINUTE: Final = 60.0
_DAY: Final = 86400.0
_EPOCH_WEEKDAY: Final = 3
"""1 January 1970 was a Thursday."""

_TIMES = re.compile(r"([01]?\d|2[0-3]):([0-5]\d)-([01]?\d|2[0-4]):([0-5]\d)")
_AS_WRITTEN: Final = "Write it like mon-fri,09:00-18:00 (UTC)"

_Days = Annotated[int, msgspec.Meta(ge=1, le=EVERY_DAY)]
_Start = Annotated[int, msgspec.Meta(ge=0, lt=MINUTES)]
_End = Annotated[int, msgspec.Meta(ge=1, le=MINUTES)]


class Moment(NamedTuple):
    """What a node knows of the time."""

    wall: float
    """Seconds since 1970 by its own clock."""
    trusted: bool
    """That clock is not below the time floor, and neighbours agree with it."""


NEVER_READ: Final = Moment(0.0, trusted=False)
"""Before the clock was read."""


class Window(Wire, frozen=True):
    """Hours of the week, UTC. One that ends no later than it starts ends on the day after."""

    days: _Days
    """One bit a day on which it starts, Monday the lowest."""
    start: _Start
    """Minutes since midnight."""
    end: _End

    def is_open(self, wall: float) -> bool:
        """True if it is open at that moment."""
        return any(begin <= wall < end for begin, end in self._openings(wall))

    def next_turn(self, wall: float) -> float:
        """When it next opens or closes."""
        return min(edge for opening in self._openings(wall) for edge in opening if edge > wall)

    def _openings(self, wall: float) -> Iterator[tuple[float, float]]:
        """Every opening from the day before to a week from now."""
        today = int(wall // _DAY)
        length = (self.end - self.start) % MINUTES or MINUTES
        for day in range(today - 1, today + len(DAYS) + 1):
            if self.days >> (day + _EPOCH_WEEKDAY) % len(DAYS) & 1:
                begin = day * _DAY + self.start * _MINUTE
                yield begin, begin + length * _MINUTE

    def __str__(self) -> str:
        """`mon-fri 09:00-18:00 UTC`."""
        days = "" if self.days == EVERY_DAY else f"{_days_text(self.days)} "
        return f"{days}{_clock_text(self.start)}-{_clock_text(self.end)} UTC"


def parse_window(text: str) -> Window:
    """The window people write as `mon-fri,09:00-18:00`, in UTC; raises ConfigError."""
    days, start, end = 0, 0, MINUTES
    plain = re.sub(r"\s*(utc|z)$", "", text.strip().lower())
    for part in filter(None, re.split(r"[,\s]+", plain)):
        if ":" in part:
            start, end = _times(part, text)
        else:
            days |= _days(part, text)
    if not plain:
        raise ConfigError(f'"{text}" is no window. {_AS_WRITTEN}')
    return Window(days or EVERY_DAY, start, end)


def _times(part: str, text: str) -> tuple[int, int]:
    found = _TIMES.fullmatch(part)
    if found is None:
        raise ConfigError(f'"{text}" has hours "{part}" that are none. {_AS_WRITTEN}')
    hour, minute, last_hour, last_minute = map(int, found.groups())
    start, end = hour * 60 + minute, last_hour * 60 + last_minute
    if end > MINUTES or start == end:
        raise ConfigError(f'"{text}": {part} is no stretch of a day. {_AS_WRITTEN}')
    return start, end or MINUTES


def _days(part: str, text: str) -> int:
    first, dash, last = part.partition("-")
    if first not in DAYS or (dash and last not in DAYS):
        raise ConfigError(f'"{text}" has a day "{part}" that is none. {_AS_WRITTEN}')
    begin = DAYS.index(first)
    length = (DAYS.index(last) - begin) % len(DAYS) if dash else 0
    return sum(1 << (begin + step) % len(DAYS) for step in range(length + 1))


def _days_text(days: int) -> str:
    """`mon-fri,sun`: days in a row as one."""
    runs: list[list[int]] = []
    for day in range(len(DAYS)):
        if not days >> day & 1:
            continue
        if runs and runs[-1][-1] == day - 1:
            runs[-1].append(day)
        else:
            runs.append([day])
    return ",".join(DAYS[run[0]] if len(run) == 1 else f"{DAYS[run[0]]}-{DAYS[run[-1]]}" for run in runs)


def _clock_text(minutes: int) -> str:
    return f"{minutes // 60:02}:{minutes % 60:02}"
