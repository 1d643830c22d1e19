"""How fast what a node counts rises, peer by peer."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from pulse.core.stats import NOTHING, Counts
from pulse.core.types import NodeId

LEAST_SPAN: Final = 2.0
"""Seconds over which a rate is taken, at least."""


@dataclass(slots=True)
class _Look:
    """What was counted at one time."""

    at: float
    counts: Mapping[NodeId, Counts]


@dataclass(slots=True)
class Meter:
    """How fast the counts of each peer rise: since one of the last two looks, whichever was long enough ago."""

    _looks: list[_Look] = field(default_factory=list, init=False)

    def looked(self, counts: Mapping[NodeId, Counts], now: float) -> None:
        """So much was counted by now."""
        self._looks = [*self._looks[-1:], _Look(now, counts)]

    def rates(self, counts: Mapping[NodeId, Counts], now: float) -> dict[NodeId, tuple[float, float]]:
        """Bytes in and out a second, by peer; nothing before there was a look to compare with."""
        before = next((each for each in reversed(self._looks) if now - each.at >= LEAST_SPAN), None)
        if before is None:
            return {}
        seconds = now - before.at
        return {node: _rates(each, before.counts.get(node, NOTHING), seconds) for node, each in counts.items()}


def _rates(now: Counts, before: Counts, seconds: float) -> tuple[float, float]:
    came, went = now.bytes_in - before.bytes_in, now.bytes_out - before.bytes_out
    return max(0, came) / seconds, max(0, went) / seconds
