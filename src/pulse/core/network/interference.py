"""Whether another program of this machine works against what keeps packets in.

Once is nothing: somebody flushes rules, a network comes up. Again and again is a problem, though all is put back at
once: each time packets go past for a moment.
"""

from collections import deque
from dataclasses import dataclass, field
from typing import Final

LOSSES: Final = 5
SPAN: Final = 60.0
"""So often in so many seconds routes or rules are taken away before that is a problem."""

PROBLEM: Final = (
    "another program takes the routes or rules that keep packets in away again and again: some go past meanwhile.\n"
    "See which: ip monitor rule route"
)


@dataclass(slots=True)
class Interference:
    """When something was taken away lately."""

    problem: str = field(default="", init=False)
    """What people are told; empty while there is nothing to tell."""
    _losses: deque[float] = field(default_factory=lambda: deque(maxlen=LOSSES), init=False)

    def looked(self, now: float, *, missing: bool) -> None:
        """It was looked whether all is there; what was missing has been put back."""
        if missing:
            self._losses.append(now)
        often = len(self._losses) == LOSSES and now - self._losses[0] < SPAN
        self.problem = PROBLEM if often else ""
