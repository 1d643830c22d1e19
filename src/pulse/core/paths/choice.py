"""Which of the ways to one node is the best, and when to change one's mind.

Direct and relayed ways are two tiers: a relayed one is left out while a direct one scores at most twice as high.
Invariant: without a failure, and without a direct way that was not there before, the best way changes only after
another was clearly better in three samples running, and then not again before a hold that doubles has passed.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from pulse.core.paths.holds import Hold
from pulse.core.paths.shares import CONFIRMATIONS, DIRECT_PREFERRED, Shares
from pulse.core.paths.ways import Way
from pulse.core.types import NodeId

MARGIN: Final = 5.0
"""Milliseconds of score by which another way must be better."""
MARGIN_SHARE: Final = 0.1
"""The same as a share of the score."""


@dataclass(slots=True)
class Choice:
    """What was chosen for one node, and what speaks against it."""

    best: NodeId
    """The neighbour of the best way."""
    shares: Shares = field(default_factory=Shares)
    backup: NodeId | None = None
    had_direct: bool = False
    """A direct way was there to choose."""
    is_beaten: bool = False
    """Another way is clearly better, but not confirmed, or the last change of mind is too fresh."""
    votes: int = 0
    """Samples in a row in which that was so."""
    hold: Hold = field(default_factory=Hold)

    def share(self, fit: Sequence[Way], rest: Sequence[Way], now: float, *, counts: bool) -> list[tuple[Way, int]]:
        """Settle on the ways of the chosen best: each with its weight, best first, at last a warm backup with 0."""
        best = next(way for way in fit if way.neighbour == self.best)
        sharing = self.shares.settle(best, fit, now, counts=counts)
        backup = self._backup(fit, rest)
        self.backup = backup.neighbour if backup else None
        return [*sharing, *([(backup, 0)] if backup else [])]

    def next_wake(self, next_sample: float) -> float | None:
        """When to look again by ourselves: something would be better, and is not confirmed."""
        held = (self.is_beaten, self.hold.until), (self.shares.is_off, self.shares.hold.until)
        return min((max(until, next_sample) for waits, until in held if waits), default=None)

    def _backup(self, fit: Sequence[Way], rest: Sequence[Way]) -> Way | None:
        spare = [way for way in fit if not self.shares.carries(way.neighbour)]
        best = min(spare or rest, default=None)
        kept = next((way for way in spare if way.neighbour == self.backup), best)
        return best if best is None or kept is None or best.score * DIRECT_PREFERRED < kept.score else kept


def choose(fit: Sequence[Way], past: Choice | None, now: float, *, counts: bool) -> Choice:
    """The choice among the ways fit to carry flows (at least one); it counts as a sample only if `counts`."""
    direct, leader = _leader(fit)
    if past is None:
        return Choice(leader.neighbour, had_direct=direct)
    incumbent = next((way for way in fit if way.neighbour == past.best), None)
    is_new = leader.direct and not past.had_direct
    past.had_direct = direct
    past.is_beaten = False
    if incumbent is None or is_new or incumbent is leader:
        past.best, past.votes = leader.neighbour, 0
        return past
    past.is_beaten = _is_clear(leader, incumbent)
    past.votes = past.votes + counts if past.is_beaten and now >= past.hold.until else 0
    if past.votes >= CONFIRMATIONS:
        past.best, past.votes, past.is_beaten = leader.neighbour, 0, False
        past.hold.start(now)
    return past


def _leader(fit: Sequence[Way]) -> tuple[bool, Way]:
    direct = next((way for way in fit if way.direct), None)
    relayed = min((way for way in fit if not way.direct), default=None)
    if direct is None or relayed is None:
        return direct is not None, min(fit)
    return True, direct if direct.score <= DIRECT_PREFERRED * relayed.score else relayed


def _is_clear(leader: Way, incumbent: Way) -> bool:
    if leader.direct:
        # The relayed one should be left out, whatever their difference.
        return True
    return incumbent.score - leader.score >= max(MARGIN, MARGIN_SHARE * incumbent.score)
