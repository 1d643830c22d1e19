"""Which links there are in the whole mesh, and who can be reached over them.

Facts only mark what changed; `tick` looks at the whole once for many of them. Invariant: a node is *expired* if
and only if no counted links have led to it for `EXPIRED_AFTER`, by our own clock and nobody else's.
"""

from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Final

from pulse.core.effects import INFO, Log
from pulse.core.paths.graph import ME, Graph, OwnLink, Told, build
from pulse.core.paths.news import GraphChanged, NodeExpired, NodeReturned, Outcome
from pulse.core.paths.noderecord import NodeRecord
from pulse.core.types import SHORT_ID, LinkId, NodeId

EXPIRED_AFTER: Final = 300.0
"""Seconds a node may be unreachable before it counts as gone."""

FRESH_RTT: Final = 0.01
"""Seconds that stand for a link of ours before its first echo: it has just carried a handshake, so it is used."""

OWN_PACE: Final = 0.0001
"""Seconds between two looks for links of our own, for each record and end of a link in the graph, for so much does one
cost: at once in a small mesh, under way in a mass restart or where every link is suspect now and then."""

LINKS_PACE: Final = 0.0003
"""The same where links of others went."""

NEWS_PACE: Final = 0.001
"""The same where links of others came: nobody is without a way because of them."""

FIGURES_PACE: Final = 0.003
LEAST_FIGURES_PACE: Final = 1.0
"""The same, and at least this long, where only figures moved: on a busy machine they all do, all the time."""

MOST_PACE: Final = 5.0
"""No look waits longer for the last one."""

NOTICED_RTT: Final = 0.0005
NOTICED_SHARE: Final = 0.05
NOTICED_LOSS: Final = 0.01
"""What must have moved since the last look to be worth another: both of the first two, or the third."""

NAMED: Final = 8
"""Nodes named in one line of the log."""


@dataclass(slots=True)
class _Mine:
    """A link of ours: its newest figures, and those of the last look."""

    node: NodeId
    rtt: float | None = None
    loss: float = 0.0
    suspect: bool = False
    seen_rtt: float | None = None
    seen_loss: float = 0.0

    def moved(self) -> bool:
        """Its figures are worth another look."""
        if self.rtt is None or self.seen_rtt is None:
            return self.rtt is not self.seen_rtt
        step = abs(self.rtt - self.seen_rtt)
        return (
            step >= max(NOTICED_RTT, NOTICED_SHARE * self.seen_rtt) or abs(self.loss - self.seen_loss) >= NOTICED_LOSS
        )


@dataclass(slots=True)
class LinkState:
    """The links of the mesh, as records announce them and as we know our own."""

    me: NodeId
    _told: dict[NodeId, Told] = field(default_factory=dict)
    """What each node announces; what we announce ourselves is told like any other."""
    _mine: dict[LinkId, _Mine] = field(default_factory=dict)
    _revoked: frozenset[NodeId] = frozenset()
    _reached: set[NodeId] = field(default_factory=set)
    _missed: dict[NodeId, float] = field(default_factory=dict)
    """Since when no links lead to whom, longest first."""
    _expired: dict[NodeId, None] = field(default_factory=dict)
    """Those of whom that was said, longest first."""
    _left: dict[NodeId, float] = field(default_factory=dict)
    """When links last led to those that were reached once and are not now."""
    _looked: float = 0.0
    _size: int = 0
    """Records, and ends of links between others, at the last look: what it cost."""
    _due: float | None = None
    """When to look again."""

    # Facts

    def link_opened(self, link: LinkId, node: NodeId, now: float) -> list[Outcome]:
        """A link of ours is up."""
        if node not in self._revoked:
            self._mine[link] = _Mine(node)
            self._look_after(OWN_PACE, now)
        return []

    def link_closed(self, link: LinkId, now: float) -> list[Outcome]:
        """A link of ours is gone."""
        if self._mine.pop(link, None) is not None:
            self._look_after(OWN_PACE, now)
        return []

    def sampled(self, link: LinkId, rtt: float | None, loss: float) -> list[Outcome]:
        """A link of ours was measured: round trip in seconds, loss from 0 to 1."""
        mine = self._mine.get(link)
        if mine is not None:
            mine.rtt, mine.loss = rtt, loss
            if mine.moved():
                self._look_after(OWN_PACE if mine.seen_rtt is None else FIGURES_PACE)
        return []

    def link_suspected(self, link: LinkId, suspect: bool) -> list[Outcome]:
        """Echoes of a link of ours went missing, or are back."""
        mine = self._mine.get(link)
        if mine is not None and mine.suspect is not suspect:
            mine.suspect = suspect
            self._look_after(OWN_PACE)
        return []

    def record_accepted(self, record: NodeRecord, now: float) -> list[Outcome]:
        """A node announced its links; a record of our own is told too, for others reckon with it."""
        if record.node in self._revoked:
            return []
        told, before = Told.of(record), self._told.get(record.node)
        self._told[record.node] = told
        if before is not None and (before.hub != told.hub or not {*before.ends()} <= {*told.ends()}):
            self._look_after(LINKS_PACE, now)
        elif before is None or len(before.links) < len(told.links):
            self._look_after(NEWS_PACE, now)
        elif before != told:
            self._look_after(FIGURES_PACE, now)
        return []

    def record_forgotten(self, node: NodeId) -> list[Outcome]:
        """There is no record of that node any more."""
        if self._told.pop(node, None) is not None:
            self._look_after(LINKS_PACE)
        return []

    def revocations_changed(self, revoked: frozenset[NodeId]) -> list[Outcome]:
        """These nodes are out, whatever they or others announce, and nobody else."""
        self._revoked = revoked
        for node in revoked:
            self._told.pop(node, None)
        for link in [link for link, mine in self._mine.items() if mine.node in revoked]:
            del self._mine[link]
        self._look_after(0.0)
        return []

    # The machine's face

    def deadline(self) -> float | None:
        """When to look again, or when the next node expires."""
        expiring = (since + EXPIRED_AFTER for since in self._missed.values())
        return min((due for due in (self._due, next(expiring, None)) if due is not None), default=None)

    def tick(self, now: float) -> list[Outcome]:
        """Look at the whole if something changed, and see who is gone."""
        outcomes: list[Outcome] = []
        if self._due is not None and now >= self._due:
            outcomes += self._look(now)
        return outcomes + self._expire(now)

    # Queries

    def is_in_use(self, link: LinkId) -> bool:
        """True if a link of ours counts and nothing is held against it."""
        mine = self._mine.get(link)
        return mine is not None and not mine.suspect

    def graph(self) -> Graph:
        """The counted links as they are now, built anew."""
        own: dict[NodeId, OwnLink] = {}
        for link, mine in self._mine.items():
            serving = own.get(mine.node)
            # The newest link with a neighbour serves, unless it is suspect and an older one is not.
            if serving is None or serving.suspect or not mine.suspect:
                own[mine.node] = OwnLink(link, FRESH_RTT if mine.rtt is None else mine.rtt, mine.loss, mine.suspect)
        return build(self.me, self._told, own)

    def last_reached(self, node: NodeId) -> float | None:
        """When counted links last led to `node`; None if they do now, or never did."""
        return self._left.get(node)

    # Details

    def _look_after(self, pace: float, now: float = 0.0) -> None:
        gap = min(pace * self._size, MOST_PACE)
        if pace == FIGURES_PACE:
            gap = max(gap, LEAST_FIGURES_PACE)
        due = max(now, self._looked + gap)
        self._due = due if self._due is None else min(self._due, due)

    def _look(self, now: float) -> list[Outcome]:
        self._looked, self._due = now, None
        for mine in self._mine.values():
            mine.seen_rtt, mine.seen_loss = mine.rtt, mine.loss
        graph = self.graph()
        self._size = len(self._told) + sum(map(len, graph.links[ME + 1 :])) - len(graph.own)
        before, self._reached = self._reached, graph.reached()
        returned = [node for node in self._expired if node in self._reached]
        lost = [node for node in graph.nodes[1:] if node not in self._reached]
        still = {*lost}
        left = self._left | dict.fromkeys(before - self._reached, now)
        self._left = {node: at for node, at in left.items() if node in still}
        self._missed = {node: since for node, since in self._missed.items() if node in still}
        self._expired = {node: None for node in self._expired if node in still}
        for node in lost:
            if node not in self._expired:
                self._missed.setdefault(node, now)
        return [GraphChanged(graph), *map(NodeReturned, returned), *_said("nodes returned", returned)]

    def _expire(self, now: float) -> list[Outcome]:
        gone: list[NodeId] = []
        for node, since in self._missed.items():
            if now < since + EXPIRED_AFTER:
                break
            gone.append(node)
        for node in gone:
            del self._missed[node]
            self._expired[node] = None
        return [*map(NodeExpired, gone), *_said("nodes expired", gone)]


def _said(event: str, nodes: Collection[NodeId]) -> list[Outcome]:
    if not nodes:
        return []
    named = " ".join(node[:SHORT_ID] for node in sorted(nodes)[:NAMED])
    return [Log(event, INFO, {"count": len(nodes), "nodes": named})]
