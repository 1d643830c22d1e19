"""What a node tells the scribe of its counters, and when it says it again.

Invariant: a node reports until its counts are on the scribe's disk, and what is only so now, such as rates, once a
minute; so neither a restart of the scribe nor a lost answer loses what a node that still runs has counted.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from pulse.core.network.tally import Kept, Report
from pulse.core.types import NodeId

AGAIN: Final = 60.0
"""Seconds after which a report that is not on the scribe's disk yet, or that tells what is so now, is made again."""


@dataclass(slots=True)
class Reporter:
    """One kind of counters in one life of a node."""

    boot: bytes
    """Random: names this life."""
    _scribe: NodeId | None = field(default=None, init=False)
    _told: Report | None = field(default=None, init=False)
    """The last report that the scribe has."""
    _seq: int = field(default=0, init=False)
    _kept: int = field(default=0, init=False)
    """The newest report that is on its disk."""
    _at: float = field(default=0.0, init=False)

    def report(
        self, scribe: NodeId, counts: Mapping[str, int], gauges: Mapping[str, float], now: float
    ) -> Report | None:
        """What to tell this scribe; None for nothing."""
        if scribe != self._scribe:
            self._scribe, self._told, self._kept = scribe, None, 0
        told = self._told or Report(self.boot, 0, {})
        if (told.counts, told.gauges) == (counts, gauges):
            holds = not gauges and self._kept >= told.seq
            if holds or now - self._at < AGAIN:
                return None
        if told.counts != counts:
            # Under a number of its own, whether or not it arrives: no two reports of one life have the same.
            self._seq += 1
            return Report(self.boot, self._seq, dict(counts), dict(gauges))
        return Report(self.boot, told.seq, dict(counts), dict(gauges))

    def taken(self, report: Report, kept: Kept, now: float) -> None:
        """The scribe took it."""
        self._told, self._kept, self._at = report, kept.seq, now
