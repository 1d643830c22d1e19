"""What is held against ways: links that failed, and paths that stopped carrying though their first link is well.

Invariant: a way nothing is held against goes before one that failed lately, and that before a suspect one,
however they score; but a suspect one goes before none.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, TypeVar

from pulse.core.paths.graph import OwnLink
from pulse.core.paths.holds import Hold
from pulse.core.paths.ways import Way
from pulse.core.types import NodeId

MOST_DOUBTS: Final = 1024
"""Links, and paths, of which something is remembered; the oldest is trusted again."""

STANDING: Final = 60.0
"""Seconds a suspicion that nobody took back lasts at least: nothing measures a path that is not in use."""

SUSPECT: Final = 2
HELD: Final = 1
TRUSTED: Final = 0

_Key = TypeVar("_Key")


class Doubt:
    """What is held against a way: it is suspect now, or it was lately."""

    __slots__ = ("_hold", "_since", "_standing")

    def __init__(self) -> None:
        self._hold = Hold()
        self._since = float("-inf")
        self._standing = False

    def raised(self, now: float) -> None:
        """The way failed; that it still does is no news."""
        if not self.is_suspect(now):
            self._hold.start(now)
            self._since = now
        self._standing = True

    def cleared(self) -> None:
        """It works again, yet not before its hold ends is it trusted."""
        self._standing = False

    def is_suspect(self, now: float) -> bool:
        """It does not work as far as we know."""
        return self._standing and now < max(self._hold.until, self._since + STANDING)

    def is_held(self, now: float) -> bool:
        """It works, but failed lately."""
        return now < self._hold.until

    def next_change(self, now: float) -> float | None:
        """When the passing of time alone next changes what is held against it."""
        ends = [self._hold.until, *([self._since + STANDING] if self._standing else [])]
        return min((end for end in ends if end > now), default=None)

    def is_forgotten(self, now: float) -> bool:
        """Nothing is held against it, and the next hold would be the first."""
        return not self.is_suspect(now) and self._hold.is_forgotten(now)


@dataclass(slots=True)
class Doubts:
    """Remembers failures, and sorts ways by them."""

    _links: dict[NodeId, Doubt] = field(default_factory=dict)
    """By neighbour: a new link with a neighbour that keeps failing is no better than the one before."""
    _paths: dict[tuple[NodeId, NodeId], Doubt] = field(default_factory=dict)
    """By destination and first neighbour."""
    _shaky: dict[NodeId, int] = field(default_factory=dict)
    """What is held against neighbours at the moment."""
    _broken: dict[NodeId, dict[NodeId, int]] = field(default_factory=dict)
    """What is held against paths at the moment: by destination, then by neighbour."""

    def links_seen(self, before: Mapping[NodeId, OwnLink], after: Mapping[NodeId, OwnLink], now: float) -> None:
        """These links served our neighbours, and now those do."""
        for node in before:
            if node not in after:
                _of(self._links, node).raised(now)
        for node, link in after.items():
            if link.suspect:
                _of(self._links, node).raised(now)
            elif node in self._links:
                self._links[node].cleared()
        self._links_replaced(
            {node for node, link in after.items() if node not in before or before[node].link != link.link}
        )

    def _links_replaced(self, firsts: Collection[NodeId]) -> None:
        """Paths that begin with another link than before were not measured yet: what was said of the old ones nobody
        would ever take back, though their holds go on."""
        for (_, first), doubt in self._paths.items() if firsts else ():
            if first in firsts:
                doubt.cleared()

    def path_suspected(self, node: NodeId, first: NodeId, suspect: bool, now: float) -> bool:
        """The path to `node` by neighbour `first` fails, or works again; True if that is news."""
        key = (node, first)
        if not suspect and key not in self._paths:
            return False
        doubt = _of(self._paths, key)
        was = doubt.is_suspect(now)
        if suspect:
            doubt.raised(now)
        else:
            doubt.cleared()
        return was is not suspect

    def passed(self, now: float) -> None:
        """It is that late: what is held against whom from now on."""
        _forget(self._links, now)
        _forget(self._paths, now)
        self._shaky = {node: level for node, doubt in self._links.items() if (level := _level(doubt, now))}
        self._broken = {}
        for (node, first), doubt in self._paths.items():
            if level := _level(doubt, now):
                self._broken.setdefault(node, {})[first] = level

    def next_change(self, now: float) -> float | None:
        """When time alone next changes anything."""
        ends = (doubt.next_change(now) for doubt in (*self._links.values(), *self._paths.values()))
        return min((end for end in ends if end is not None), default=None)

    def sorted_out(self, node: NodeId, ways: Sequence[Way], most: int) -> tuple[Sequence[Way], Sequence[Way]]:
        """The ways to `node` against which least is held, at most so many, and those that come next."""
        if not self._shaky and node not in self._broken:
            return _best(ways, most), ()
        levels: list[list[Way]] = [[], [], []]
        for way in ways:
            levels[self._held_against(node, way.neighbour)].append(way)
        first, second, *_ = [_best(level, most) for level in levels if level] + [[], []]
        return first, second

    def is_as_good(self, node: NodeId, first: NodeId, other: NodeId) -> bool:
        """True if no more is held against the path to `node` by neighbour `first` than against the one by `other`."""
        return self._held_against(node, first) <= self._held_against(node, other)

    def all_suspect(self, node: NodeId, ways: Iterable[Way]) -> bool:
        """True if every way to `node` is suspect."""
        if not self._shaky and node not in self._broken:
            return False
        return all(self._held_against(node, way.neighbour) == SUSPECT for way in ways)

    def shunned(self, node: NodeId) -> frozenset[NodeId]:
        """The neighbours a path to `node` should not begin with."""
        levels = (self._shaky, self._broken.get(node, {}))
        return frozenset(first for each in levels for first, level in each.items() if level == SUSPECT)

    def _held_against(self, node: NodeId, first: NodeId) -> int:
        return max(self._shaky.get(first, TRUSTED), self._broken.get(node, {}).get(first, TRUSTED))


def _of(doubts: dict[_Key, Doubt], key: _Key) -> Doubt:
    if key not in doubts:
        if len(doubts) >= MOST_DOUBTS:
            del doubts[next(iter(doubts))]
        doubts[key] = Doubt()
    return doubts[key]


def _forget(doubts: dict[_Key, Doubt], now: float) -> None:
    for key in [key for key, doubt in doubts.items() if doubt.is_forgotten(now)]:
        del doubts[key]


def _level(doubt: Doubt, now: float) -> int:
    if doubt.is_suspect(now):
        return SUSPECT
    return HELD if doubt.is_held(now) else TRUSTED


def _best(ways: Sequence[Way], most: int) -> Sequence[Way]:
    return ways if len(ways) <= most else sorted(ways)[:most]
