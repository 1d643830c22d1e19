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
