"""Virtual time: a heap of what is to happen, and a clock that jumps from one thing to the next.

Invariant: what is due at one instant happens in the order in which it was asked for.
"""

import heapq
from collections.abc import Callable


class Clock:
    """Time as a world sees it, in seconds from its beginning."""

    def __init__(self) -> None:
        self.now = 0.0
        self._heap: list[tuple[float, int, Callable[[], None]]] = []
        self._asked = 0

    def at(self, when: float, act: Callable[[], None]) -> None:
        """Let something happen; what should have been before now happens now."""
        self._asked += 1
        heapq.heappush(self._heap, (max(when, self.now), self._asked, act))

    def after(self, seconds: float, act: Callable[[], None]) -> None:
        """Let something happen in so many seconds."""
        self.at(self.now + seconds, act)

    def run(self, seconds: float) -> None:
        """Let time pass."""
        end = self.now + seconds
        while self._heap and self._heap[0][0] <= end:
            self.now, _, act = heapq.heappop(self._heap)
            act()
        self.now = end
