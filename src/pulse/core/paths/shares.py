"""Which ways carry flows beside the best one, and in which shares.

A path that is full is a slow one: were shares to follow scores at once, a flow would chase itself from path to path,
and be reordered each time. Invariant: as long as the best way stays, nothing fails and nothing new turns up, shares
change only after three samples that agree, and then not again before a hold that doubles has passed.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from pulse.core.paths.holds import Hold
from pulse.core.paths.ways import Way
from pulse.core.types import NodeId

FULL_SHARE: Final = 1000
"""Weight of the way with the best score."""

VIABLE: Final = 16.0
"""A way that scores higher than the best by more than this factor carries nothing."""

DIRECT_PREFERRED: Final = 2.0
"""By how much worse a direct way may score before relayed ones are looked at."""

CONFIRMATIONS: Final = 3
"""Samples in a row that must agree."""

SLACK: Final = 1.2
"""A way that carries flows stays until it is beyond its limit by this factor, so that noise moves nothing."""

MOVED: Final = 1.5
"""A weight that is off by less than this factor is left as it is."""

SETTLING: Final = 15.0
"""Seconds in which shares follow without a hold: of new links it is guessed at first how long they are."""

MOST_SHARES: Final = 8
"""Ways that carry flows at one time."""


@dataclass(slots=True)
class Shares:
    """Who carries the flows to one node."""

    hold: Hold = field(default_factory=Hold)
    is_off: bool = False
    """Other shares would be right, but that is not confirmed, or the last change is too fresh."""
    _votes: int = 0
    """Samples in a row in which that was so."""
    _begun: float | None = None
    _best: NodeId | None = None
    _scores: dict[NodeId, float] = field(default_factory=dict)
    """The ways that carry, by neighbour, and the score each is weighed by."""
    _known: frozenset[NodeId] = frozenset()
    """All that could have carried at the last look."""

    def settle(self, best: Way, fit: Sequence[Way], now: float, *, counts: bool) -> list[tuple[Way, int]]:
        """The ways that carry from now on, the best one first, each with its weight."""
        self._begun = now if self._begun is None else self._begun
        right = {way.neighbour: way.score for way in _wanted(best, fit, self._scores)}
        names = frozenset(way.neighbour for way in fit)
        if best.neighbour == self._best:
            self._adjust(right, names, now, counts=counts)
        elif self._best in names:
            self._take(right)
        else:
            # It failed: its flows go elsewhere, and no others have to.
            self._take({each: self._scores.get(each, score) for each, score in right.items()})
        self._best, self._known = best.neighbour, names
        return self._weighted(best, fit)

    def carries(self, neighbour: NodeId) -> bool:
        """True if the way by this neighbour has a share."""
        return neighbour in self._scores

    # Details

    def _adjust(self, right: Mapping[NodeId, float], names: frozenset[NodeId], now: float, *, counts: bool) -> None:
        new = {each: score for each, score in right.items() if each not in self._known}
        self._scores = {each: score for each, score in self._scores.items() if each in names} | new
        self.is_off = _differ(self._scores, right)
        self._votes = self._votes + counts if self.is_off and now >= self.hold.until else 0
        if self._votes >= CONFIRMATIONS:
            self._take(right)
            if self._begun is not None and now >= self._begun + SETTLING:
                self.hold.start(now)

    def _take(self, scores: Mapping[NodeId, float]) -> None:
        self._scores, self._votes, self.is_off = dict(scores), 0, False

    def _weighted(self, best: Way, fit: Sequence[Way]) -> list[tuple[Way, int]]:
        weights = _weights(self._scores)
        others = [way for way in fit if way is not best and self.carries(way.neighbour)]
        # By what they are weighed with, so that no table changes for a score that wavers.
        others.sort(key=lambda way: (self._scores[way.neighbour], way.neighbour))
        return [(way, weights[way.neighbour]) for way in (best, *others)]


def _weights(scores: Mapping[NodeId, float]) -> dict[NodeId, int]:
    low = min(scores.values())
    return {each: max(1, round(FULL_SHARE * low / score)) for each, score in scores.items()}


def _differ(ours: Mapping[NodeId, float], right: Mapping[NodeId, float]) -> bool:
    if ours.keys() != right.keys():
        return True
    have, want = _weights(ours), _weights(right)
    return any(max(have[each], want[each]) >= MOVED * min(have[each], want[each]) for each in have)


def _wanted(best: Way, fit: Sequence[Way], carrying: Mapping[NodeId, float]) -> list[Way]:
    """The ways that carry if nothing but their scores of now counts."""
    if best.direct:
        return [best]
    direct = min((way.score for way in fit if way.direct), default=None)
    low = min(way.score for way in fit)

    def reach(way: Way) -> float:
        """Its score, less what it may go beyond its limits."""
        return way.score / SLACK if way.neighbour in carrying else way.score

    def carries(way: Way) -> bool:
        in_reach = reach(way) <= VIABLE * low
        return in_reach and (way.direct or direct is None or direct > DIRECT_PREFERRED * reach(way) * SLACK)

    others = sorted((way for way in fit if way is not best and carries(way)), key=lambda way: (reach(way), way))
    return [best, *others[: MOST_SHARES - 1]]
