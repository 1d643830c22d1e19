"""How long a way that failed, or a choice that was changed, is left alone: doubling while it happens again.

Invariant: a hold is never shorter than `FIRST` nor longer than `CAP`, and what stayed calm long enough is
trusted as if nothing had been.
"""

from typing import Final

FIRST: Final = 8.0
"""Seconds of the first hold."""

CAP: Final = 600.0
"""Seconds of the longest."""

CALM: Final = 120.0
"""Seconds without a new failure that halve the next hold."""

STANDING: Final = 60.0
"""Seconds a suspicion that nobody took back lasts at least: nothing measures a path that is not in use."""


class Hold:
    """A time to wait that doubles each time it starts anew and shrinks with calm."""

    __slots__ = ("_length", "until")

    def __init__(self) -> None:
        self.until = float("-inf")
        self._length = FIRST / 2

    def start(self, now: float) -> None:
        """It happened again."""
        self._length = min(CAP, max(FIRST, self._next_length(now)))
        self.until = now + self._length

    def is_forgotten(self, now: float) -> bool:
        """True if the next hold would be as short as the first."""
        return now > self.until and self._next_length(now) <= FIRST

    def _next_length(self, now: float) -> float:
        # As many halvings as make the longest hold the first one, lest years of calm be too much for a float.
        calm = min(max(0.0, now - self.until) / CALM, 8.0)
        return 2 * self._length * 0.5 ** int(calm)


class Doubt:
    """What is held against a way: it is suspect now, or it was lately."""

    __slots__ = ("_hold", "_since", "_standing")

    def __init__(self) -> None:
        self._hold = Hold()
        self._since = float("-inf")
        self._standing = False

    def raised(self, now: float) -> None:
        """The way failed; that it still does is no news."""
        if not self.is_suspect(now):
            self._hold.start(now)
            self._since = now
        self._standing = True

    def cleared(self) -> None:
        """It works again, yet not before its hold ends is it trusted."""
        self._standing = False

    def is_suspect(self, now: float) -> bool:
        """It does not work as far as we know."""
        return self._standing and now < max(self._hold.until, self._since + STANDING)

    def is_held(self, now: float) -> bool:
        """It works, but failed lately."""
        return now < self._hold.until

    def next_change(self, now: float) -> float | None:
        """When the passing of time alone next changes what is held against it."""
        ends = [self._hold.until, *([self._since + STANDING] if self._standing else [])]
        return min((end for end in ends if end > now), default=None)

    def is_forgotten(self, now: float) -> bool:
        """Nothing is held against it, and the next hold would be the first."""
        return not self.is_suspect(now) and self._hold.is_forgotten(now)
