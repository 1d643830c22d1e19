"""How fast counters of many nodes run, from looks at them now and then.

Invariant: what is kept of a node that is not seen any more goes at the next look.
"""

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

KEPT: Final = 8
"""Values of one counter."""


@dataclass(slots=True)
class Rates:
    """The last rates of each node, the newest last."""

    _counts: dict[str, float] = field(default_factory=dict)
    _rates: dict[str, deque[float]] = field(default_factory=dict)
    _looked: float | None = None

    def looked(self, counts: Mapping[str, float], now: float) -> None:
        """The counters as they are at `now`; one that fell began anew."""
        before, self._counts = self._counts, dict(counts)
        passed = None if self._looked is None else now - self._looked
        self._looked = now
        if not passed or passed <= 0:
            return
        self._rates = {node: self._rates.get(node) or deque(maxlen=KEPT) for node in counts}
        for node, count in counts.items():
            grown = count - before.get(node, count)
            self._rates[node].append(max(grown, 0.0) / passed)

    def of(self, node: str) -> list[float]:
        """Its rates, each in units a second."""
        return [*self._rates.get(node, ())]
