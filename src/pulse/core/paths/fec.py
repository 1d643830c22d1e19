"""How much parity each path gets: as its losses are, at once when they rise and slowly when they fall.

The data plane measures losses by receiver reports and sends what is decided here. Invariant: a level is left for a
lower one only after `CALM` samples in a row that would do with less, each by a clear margin, so that no level flaps.
"""

from bisect import bisect_right
from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Final, NamedTuple

from pulse.core.paths.holds import Hold
from pulse.core.types import LinkId, NodeId


class Level(IntEnum):
    """What a path gets."""

    NOTHING = 0
    LITTLE = 1
    MORE = 2
    MUCH = 3
    DUPLICATE = 4
    """Each record once more over a second path; as `MUCH` where there is none."""


PARITY: Final = {Level.NOTHING: 0, Level.LITTLE: 2, Level.MORE: 4, Level.MUCH: 8, Level.DUPLICATE: 8}
"""Parity packets over a block of 20 records."""

LOSSES: Final = (0.001, 0.01, 0.03, 0.06)
"""Losses at which the next level begins, where each comes by itself."""

MOST_BURST: Final = 8.0
"""Losses in a row beyond which no block is large enough."""

MARGIN: Final = 0.7
"""A loss has to be below its limit by this factor to ask for less."""

CALM: Final = 10
"""Samples in a row that must agree on less."""

FORGOTTEN: Final = 60.0
"""Seconds without a figure after which a path begins anew."""


class Loss(NamedTuple):
    """What is known of one path: a node, and our first link to it."""

    node: NodeId
    link: LinkId
    loss: float | None
    """Share of the records that did not arrive; None while nobody can tell."""
    burst: float
    """How many got lost in a row, on average."""
    has_second: bool
    """There is another way to the node."""


class Protection(NamedTuple):
    """What one path gets."""

    node: NodeId
    link: LinkId
    parity: int
    duplicate: bool


def level_of(loss: float, burst: float = 1.0) -> Level:
    """What a path with this loss asks for; losses in a row hit one block, so they weigh as much as more that do not."""
    weighed = Level(bisect_right(LOSSES, loss * min(burst, MOST_BURST)))
    return max(Level(bisect_right(LOSSES, loss)), min(weighed, Level.MUCH))


@dataclass(slots=True)
class _Watched:
    """One path."""

    heard: float
    level: Level = Level.NOTHING
    calm: int = 0
    """Samples in a row that would do with less."""
    enough: Level = Level.NOTHING
    """What would have done for all of these."""
    hold: Hold = field(default_factory=Hold)
    """What goes twice tells nothing of its losses: every so often they have to be measured."""

    def told(self, loss: float, burst: float, now: float) -> None:
        """A figure came."""
        self.heard = now
        asked, enough = level_of(loss, burst), level_of(loss / MARGIN, burst)
        if asked > self.level:
            self._become(asked, now)
        elif enough >= self.level:
            self.calm = 0
        else:
            self.enough = max(self.enough, enough) if self.calm else enough
            self.calm += 1
            if self.calm >= CALM:
                self._become(self.enough, now)

    def silent(self, now: float) -> None:
        """Nobody can tell how much is lost."""
        if self.level is Level.DUPLICATE and now >= self.hold.until:
            self.heard = now
            self._become(Level.MUCH, now)

    def is_over(self, now: float) -> bool:
        """There is nothing to keep of it."""
        waits = self.level is Level.DUPLICATE or now - self.heard < FORGOTTEN
        return self.level is Level.NOTHING or not waits

    def _become(self, level: Level, now: float) -> None:
        self.level, self.calm = level, 0
        if level is Level.DUPLICATE:
            self.hold.start(now)


@dataclass(slots=True)
class Fec:
    """The protection of every path in use."""

    _watched: dict[tuple[NodeId, LinkId], _Watched] = field(default_factory=dict)
    _said: tuple[Protection, ...] = ()

    def sampled(self, losses: Iterable[Loss], now: float) -> tuple[Protection, ...] | None:
        """The losses of all paths were read: the whole table, if it is another one now; of others nothing is kept."""
        watched, table = {}, []
        for node, link, loss, burst, has_second in losses:
            path = self._watched.get((node, link), _Watched(now))
            if loss is not None:
                path.told(loss, burst, now)
            else:
                path.silent(now)
            if path.is_over(now):
                continue
            watched[node, link] = path
            twice = path.level is Level.DUPLICATE and has_second
            table.append(Protection(node, link, 0 if twice else PARITY[path.level], twice))
        self._watched = watched
        said, self._said = self._said, tuple(sorted(table))
        return None if said == self._said else self._said
