"""When the rules in force next come to mean something else, by a clock that is trusted or not.

Invariant: whatever a rule's time does to it, the data plane hears it at that moment, with CA and scribe out of reach.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final

from pulse.core.network.hours import NEVER_READ, Moment
from pulse.core.network.policy import Rule

MARGIN: Final = 0.001
"""Seconds by which we look too late rather than too early."""

SET: Final = 0.5
"""Seconds by which a clock moves only if somebody sets it; what it drifts counts at the next turn."""


@dataclass(frozen=True, slots=True)
class HoursTurned:
    """The rules may mean something else from now on."""


@dataclass(slots=True)
class Timetable:
    """The wall clock, and which of the rules in force it concerns."""

    floor: float
    """Below it our clock is wrong for certain: the newest time that the CA signed for us."""
    agrees: Callable[[], bool]
    """True unless most neighbours' clocks are far from ours."""
    rules: Callable[[], Sequence[Rule]]
    """The rules in force."""
    _read: tuple[float, float] | None = field(default=None, init=False)
    """What the wall clock said, and when that was."""
    _next: float | None = field(default=None, init=False)
    _told: tuple[bool, float] | None = field(default=None, init=False)
    """By what the rules were told last: a trusted clock or not, and how far it is ahead of the monotonic one."""

    # Facts

    def clock_read(self, wall: float, now: float) -> list[HoursTurned]:
        """The wall clock, in seconds since 1970."""
        self._read = wall, now
        return self.clock_judged(now)

    def clock_judged(self, now: float) -> list[HoursTurned]:
        """A neighbour told the time: ours may be trusted from now on, or no more."""
        if self._told is not None and not self._is_otherwise(*self._told, now):
            return []
        return [HoursTurned()] if any(rule.is_timed for rule in self.rules()) else []

    def rules_told(self, now: float) -> None:
        """The data plane has the rules of this moment: look when they turn next."""
        moment = self.moment(now)
        turns = [rule.next_turn(moment.wall) for rule in self.rules() if rule.is_timed] if moment.trusted else []
        due = [turn for turn in turns if turn is not None]
        self._told = moment.trusted, moment.wall - now
        self._next = now + min(due) - moment.wall + MARGIN if due else None

    def _is_otherwise(self, trusted: bool, ahead: float, now: float) -> bool:
        """True if the clock is trusted where it was not, or the other way round, or was set meanwhile."""
        moment = self.moment(now)
        return moment.trusted is not trusted or abs(moment.wall - now - ahead) > SET

    # The machine's face

    def deadline(self) -> float | None:
        """When the next rule turns."""
        return self._next

    def tick(self, now: float) -> list[HoursTurned]:
        """Time has passed."""
        if self._next is None or now < self._next:
            return []
        self._next = None
        return [HoursTurned()]

    # Queries

    def moment(self, now: float) -> Moment:
        """What we know of the time."""
        if self._read is None:
            return NEVER_READ
        wall, read = self._read
        current = wall + now - read
        return Moment(current, trusted=current >= self.floor and self.agrees())
