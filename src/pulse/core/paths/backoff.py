"""How long to wait before the next try: full jitter, doubling, capped, never giving up.

Source: "Exponential Backoff And Jitter" (AWS Architecture Blog, 2015), the variant named full jitter.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from random import Random

FIRST = 0.5
"""Seconds of the first window: long enough for a restarting daemon, short enough not to be noticed."""

CAP = 60.0
"""Seconds of the longest window: a peer that returns is found within a minute."""


class Backoff:
    """The waiting time of one target; `random` decides where in the window the next try falls."""

    def __init__(self, random: "Random", first: float = FIRST, cap: float = CAP) -> None:
        self._random, self._first, self._cap = random, first, cap
        self._window = first

    def next_delay(self) -> float:
        """Seconds to wait before the next try; each call doubles the window."""
        delay = self._random.uniform(0.0, self._window)
        self._window = min(self._window * 2, self._cap)
        return delay

    def reset(self) -> None:
        """The target proved healthy, or the world changed: start over."""
        self._window = self._first
