"""Which nodes to keep links with, of all that are known.

In a small mesh everybody. In a larger one: two nodes that strangers can reach, whoever had traffic lately, eight by
rendezvous hash over both ids, which make a random graph that stays connected, and eight more of those on our LANs, so
that these stay connected without the rest. Besides, those that a pin names. Invariant: whatever is known, somebody is
wanted as long as anybody is known; an expired node is tried now and then, never for ever.
"""

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field
from heapq import nlargest
from typing import Final

from pulse.core.paths.news import NodesWanted
from pulse.core.paths.noderecord import NodeRecord
from pulse.core.paths.rendezvous import rank_of
from pulse.core.types import NodeId

SMALL: Final = 32
"""Nodes of a mesh, ourselves counted, in which everybody has links with everybody."""

BY_HASH: Final = 8
"""Links by rendezvous hash in a larger mesh."""

REACHABLE: Final = 2
"""Links with nodes that strangers can reach: what remains when everybody else is behind a NAT."""

MOST_REACHABLE: Final = 16
"""Of those tried at one time, while fewer than `REACHABLE` have answered."""

ANSWER: Final = 10.0
"""Seconds the reachable ones have to answer before two more are tried."""

RECENT: Final = 600.0
"""Seconds for which traffic makes a node wanted."""

MOST_RECENT: Final = 256
"""Nodes wanted for their traffic, the latest."""

TURN: Final = 60.0
"""Seconds in which a few of the expired nodes are tried."""

TURNS_OFF: Final = 600.0
"""Seconds until it is the same node's turn again."""

MOST_EXPIRED: Final = 4
"""Expired nodes tried in one turn."""

CATCH_UP: Final = 30.0
"""Seconds from the first record on in which nodes count that were only named."""

PACE: Final = 0.5
"""Seconds between two selections: records come in crowds."""


@dataclass(slots=True)
class _Known:
    rank: int
    candidates: tuple[str, ...]
    reachable: bool


@dataclass(slots=True)
class Wanted:
    """Chooses neighbours, the same ones as long as nothing changes."""

    me: NodeId
    nearby: Callable[[], Collection[NodeId]] = frozenset
    """The nodes on our LANs."""
    lacking: Callable[[], int] = int
    """Of how many nodes a record was named and is yet to come: no newcomer is to take a large mesh for a small one."""
    _pinned: frozenset[NodeId] = frozenset()
    """Those that a person wants others to be reached by."""
    _known: dict[NodeId, _Known] = field(default_factory=dict)
    _begun: float | None = None
    """When the first record came."""
    _asked: dict[NodeId, float] = field(default_factory=dict)
    """When there was traffic for whom, oldest first."""
    _linked: dict[NodeId, int] = field(default_factory=dict)
    """How many links there are with whom."""
    _expired: dict[NodeId, float] = field(default_factory=dict)
    """The known nodes that are expired, and when each was tried last."""
    _trying: set[NodeId] = field(default_factory=set)
    """The expired nodes whose turn it is."""
    _turn: float = 0.0
    """When the next turn begins."""
    _places: int = REACHABLE
    """Reachable nodes tried at present."""
    _more_at: float | None = None
    """When more of them are tried, because too few have a link with us."""
    _selected: float = 0.0
    _due: float | None = None
    _told: NodesWanted = field(default_factory=lambda: NodesWanted({}, frozenset()))

    # Facts

    def record_accepted(self, record: NodeRecord, now: float) -> list[NodesWanted]:
        """A node announced where it is."""
        if record.node == self.me:
            return []
        known = self._known.get(record.node)
        self._begun = now if self._begun is None else self._begun
        if known is None:
            rank = rank_of(self.me, record.node)
            self._known[record.node] = _Known(rank, record.candidates, record.reachable)
        elif (known.candidates, known.reachable) != (record.candidates, record.reachable):
            known.candidates, known.reachable = record.candidates, record.reachable
        else:
            return []
        self._select_after(PACE, now)
        return []

    def record_forgotten(self, node: NodeId) -> list[NodesWanted]:
        """That node is revoked, or gone for good."""
        self._expired.pop(node, None)
        if self._known.pop(node, None) is not None:
            self._select_after(0.0)
        return []

    def node_expired(self, node: NodeId, now: float) -> list[NodesWanted]:
        """No links have led to that node for long."""
        if node in self._known:
            # It was tried all the time until now.
            self._expired[node] = now
            self._select_after(PACE, now)
        return []

    def node_returned(self, node: NodeId, now: float) -> list[NodesWanted]:
        """Links lead to it again."""
        if self._expired.pop(node, None) is not None:
            self._select_after(PACE, now)
        return []

    def peer_wanted(self, node: NodeId, now: float) -> list[NodesWanted]:
        """There is traffic for that node, whether or not anything leads to it."""
        is_news = self._asked.pop(node, None) is None
        self._asked[node] = now
        if len(self._asked) > MOST_RECENT:
            del self._asked[next(iter(self._asked))]
        if is_news:
            self._select_after(0.0)
        return []

    def pins_changed(self, neighbours: frozenset[NodeId]) -> list[NodesWanted]:
        """A person wants nodes to be reached by these neighbours."""
        self._pinned = neighbours
        self._select_after(0.0)
        return []

    def node_heard(self, now: float) -> list[NodesWanted]:
        """A node that we have no link with is on a LAN of ours."""
        self._select_after(PACE, now)
        return []

    def link_opened(self, node: NodeId, now: float) -> list[NodesWanted]:
        """A link with that node is up."""
        self._linked[node] = self._linked.get(node, 0) + 1
        self._select_after(PACE, now)
        return []

    def link_closed(self, node: NodeId, now: float) -> list[NodesWanted]:
        """A link with that node is gone."""
        left = self._linked.pop(node, 0) - 1
        if left > 0:
            self._linked[node] = left
        self._select_after(PACE, now)
        return []

    def addresses_changed(self, now: float) -> list[NodesWanted]:
        """We are somewhere else: whoever could not be reached may be now."""
        self._expired = dict.fromkeys(self._expired, float("-inf"))
        self._turn = now
        self._select_after(0.0)
        return []

    # The machine's face

    def deadline(self) -> float | None:
        """When to select anew."""
        return min(self._wakes(), default=None)

    def tick(self, now: float) -> list[NodesWanted]:
        """Select anew if it is time, and say so if others are wanted now."""
        due = self.deadline()
        if due is None or now < due:
            return []
        self._due, self._selected = None, now
        self._pass_time(now)
        chosen = self._select()
        nodes = {node: self._known[node].candidates for node in sorted(chosen)}
        told = NodesWanted(nodes, frozenset(self._known.keys() - chosen))
        if told == self._told:
            return []
        self._told = told
        return [told]

    # Queries

    def nodes(self) -> Mapping[NodeId, tuple[str, ...]]:
        """The nodes wanted at present, and where each may be reached."""
        return self._told.nodes

    # Details

    def _wakes(self) -> Iterator[float]:
        if self._due is not None:
            yield self._due
        if self._asked:
            yield next(iter(self._asked.values())) + RECENT
        if self._more_at is not None:
            yield self._more_at
        if self._expired or self._trying:
            yield self._turn

    def _select_after(self, pace: float, now: float = 0.0) -> None:
        due = max(now, self._selected + pace)
        self._due = due if self._due is None else min(self._due, due)

    def _pass_time(self, now: float) -> None:
        while self._asked and next(iter(self._asked.values())) + RECENT <= now:
            del self._asked[next(iter(self._asked))]
        if now >= self._turn:
            self._begin_turn(now)
        self._look_for_reachable(now)

    def _look_for_reachable(self, now: float) -> None:
        reachable = [node for node, known in self._known.items() if known.reachable]
        if sum(node in self._linked for node in reachable) >= REACHABLE or len(reachable) <= REACHABLE:
            self._places, self._more_at = REACHABLE, None
        elif self._more_at is None:
            self._more_at = now + ANSWER
        elif now >= self._more_at:
            self._places = min(self._places + REACHABLE, MOST_REACHABLE)
            self._more_at = now + ANSWER

    def _begin_turn(self, now: float) -> None:
        self._turn = now + TURN
        due = sorted((tried, node) for node, tried in self._expired.items() if tried + TURNS_OFF <= now)
        self._trying = {node for _, node in due[:MOST_EXPIRED]}
        self._expired.update(dict.fromkeys(self._trying, now))

    def _select(self) -> set[NodeId]:
        # Without a link to anybody all are expired, and that says nothing about them.
        alive = self._known.keys() - self._expired or self._known.keys()
        chosen = set(alive)
        if len(alive) >= SMALL or self._is_catching_up(len(alive)):
            near = self._known.keys() & self.nearby()
            chosen = {*self._best(alive), *self._best(near)}
        return chosen | {*self._reachable()} | (self._known.keys() & (self._trying | self._asked.keys() | self._pinned))

    def _is_catching_up(self, alive: int) -> bool:
        """True if the mesh is larger than what has come of it; names alone, which cost nobody anything, do not last."""
        begun = self._begun is not None and self._selected < self._begun + CATCH_UP
        if not begun or alive + self.lacking() < SMALL:
            return False
        self._select_after(PACE)
        return True

    def _best(self, nodes: Collection[NodeId]) -> list[NodeId]:
        return nlargest(BY_HASH, nodes, key=lambda node: self._known[node].rank)

    def _reachable(self) -> list[NodeId]:
        """Those with a link first, so that nobody who answered is given up for another."""
        able = (node for node, known in self._known.items() if known.reachable)

        def last_resort(node: NodeId) -> tuple[bool, bool, int]:
            return node not in self._linked, node in self._expired, -self._known[node].rank

        return sorted(able, key=last_resort)[: self._places]
