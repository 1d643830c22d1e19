"""Along which links a record spreads: a broadcast tree that grows by itself.

Plumtree (Leitão, Pereira, Rodrigues: Epidemic Broadcast Trees, 2007). Records go to eager neighbours at once, to lazy
ones, and in a rush to all, only their ids. A record that came twice makes the slower link lazy at both ends; an id
whose record does not follow makes its link eager again. Where many nodes speak at once, each would cut the tree its
own way, so only one of them counts, and links are taken in one at a time (decision 21). Invariant: each neighbour but
the sender hears of each record taken, in the end by its newest version.
"""

import heapq
from typing import TYPE_CHECKING, Final, NamedTuple

from pulse.core.bucket import Bucket
from pulse.core.effects import Effect
from pulse.core.messages import Have, Prune, Want
from pulse.core.paths.branch import Allowance, Branch, new_allowance, open_branch
from pulse.core.paths.budget import Tempo
from pulse.core.paths.noderecord import NodeRecord
from pulse.core.paths.outbox import Shelf
from pulse.core.types import LinkId, NodeId

if TYPE_CHECKING:
    from random import Random

GRAFT: Final = Want(b"")
"""Send from now on what comes: a `Want` that names nothing asks for all of it."""

NAMED_WITHIN: Final = (0.02, 0.05)
"""Seconds in which ids are gathered for one `Have`; which of two neighbours speaks first is left to chance, for then
the other need not."""

CROWD: Final = 4
MOST_CROWDED: Final = 8.0
"""With more neighbours than the first it takes longer in proportion, up to so many times: all of them name the same."""

GRAFT_AGAIN: Final = 0.5
"""Seconds between two links taken into the tree because something was late: one may well have been enough."""

MEASURED_FOR: Final = 1.0
"""Seconds for which, of the nodes that spoke, only duplicates of the one with the lowest id count."""

PRUNE_AGAIN: Final = 1.0
"""Seconds after which a neighbour that still sends duplicates is told again."""

CALM_BURST: Final = 48
CALM_RATE: Final = 16.0
"""Records taken at once, and then each second, that go on whole. When a thousand nodes start together there is more to
tell before the tree has grown: then what came is only named, and each node fetches it once."""

MOST_ALLOWANCES: Final = 1024
"""Nodes of whose last links it is remembered what they used up."""


class Journey(NamedTuple):
    """How a record came, and so where it goes."""

    source: LinkId | None
    """Where it came from and need not go."""
    with_certificate: bool
    """Its certificate is as new as it is."""
    named_only: bool
    """It came with many others that most of us hold: it goes on as an id."""


class Plumtree:
    """The links of this node, and what is to go out on each."""

    def __init__(self, shelf: Shelf, random: "Random") -> None:
        self._shelf, self._random = shelf, random
        self._branches: dict[LinkId, Branch] = {}
        self._allowances: dict[NodeId, Allowance] = {}
        """Of the nodes that had a link last; the oldest link first."""
        self._tempo = Tempo()
        self._calm = Bucket(CALM_RATE, CALM_BURST, 0.0)
        self._held_back: dict[NodeId, Journey] = {}
        self._due: list[tuple[float, NodeId]] = []
        self._graft_at = 0.0
        self._measure = NodeId("")
        self._measure_until = 0.0
        """Whose duplicates count, and until when nobody else's do."""

    # Facts

    def link_opened(self, link: LinkId, node: NodeId, now: float) -> Branch:
        """A link is up."""
        allowance = self._allowances.pop(node, None) or new_allowance(now)
        self._allowances[node] = allowance
        if len(self._allowances) > MOST_ALLOWANCES:
            del self._allowances[next(iter(self._allowances))]
        branch = self._branches[link] = open_branch(link, node, self._shelf, now, allowance)
        return branch

    def link_closed(self, link: LinkId, now: float) -> list[Effect]:
        """A link is gone; if it was part of the tree, all others are until duplicates show which are not needed."""
        gone = self._branches.pop(link, None)
        if gone is None or not gone.eager:
            return []
        lazy = [each for each in self.branches() if not each.eager]
        for branch in lazy:
            branch.eager = True
        return [branch.outbox.say(GRAFT, now) for branch in lazy]

    def record_taken(self, record: NodeRecord, journey: Journey, now: float) -> list[Effect]:
        """A new record is held: pass it on, or its next version if this origin makes too many."""
        node = record.node
        if node <= self._measure or self._measure_until <= now:
            self._measure, self._measure_until = node, now + MEASURED_FOR
        when = self._tempo.take(node, now)
        if when <= now:
            return self._pass_on(record, journey, now)
        before = self._held_back.get(node)
        if before is None:
            heapq.heappush(self._due, (when, node))
        elif before.with_certificate:
            journey = journey._replace(with_certificate=True)
        self._held_back[node] = journey
        return []

    def duplicate_received(self, branch: Branch, node: NodeId, now: float) -> list[Effect]:
        """A record came unasked that we held: the neighbour need not send us more of them."""
        branch.shows(node)
        if node > self._measure and now < self._measure_until:
            return []
        if not branch.eager and now < branch.quiet_until:
            return []
        branch.eager, branch.quiet_until = False, now + PRUNE_AGAIN
        return [branch.outbox.say(Prune(), now)]

    def record_late(self, branch: Branch, now: float) -> list[Effect]:
        """A record did not follow its id: take the link on which the id came into the tree."""
        if branch.eager or now < self._graft_at:
            return []
        branch.eager, self._graft_at = True, now + GRAFT_AGAIN
        return [branch.outbox.say(GRAFT, now)]

    # Queries

    def get(self, link: LinkId) -> Branch | None:
        """What is kept of a link."""
        return self._branches.get(link)

    def branches(self) -> list[Branch]:
        """Every link that is not about to be closed."""
        return [each for each in self._branches.values() if not each.closing]

    def is_rush(self, now: float) -> bool:
        """So many records were taken lately that others should only be named, and asked for at once."""
        return self._calm.level(now) < 0

    # The machine's face

    def deadline(self) -> float | None:
        """When something is to go out."""
        times = [self._due[0][0]] if self._due else []
        for branch in self.branches():
            if branch.lazy:
                times.append(branch.name_at)
            if (more := branch.outbox.deadline()) is not None:
                times.append(more)
        return min(times, default=None)

    def tick(self, now: float) -> list[Effect]:
        """Time has passed."""
        effects: list[Effect] = []
        while self._due and self._due[0][0] <= now:
            _, node = heapq.heappop(self._due)
            journey, record = self._held_back.pop(node), self._shelf.record(node)
            if record is not None:
                effects += self.record_taken(record, journey, now)
        for branch in self.branches():
            if branch.lazy and branch.name_at <= now:
                effects += self._name(branch, now)
            effects += branch.outbox.flush(now)
        return effects

    # Details

    def _pass_on(self, record: NodeRecord, journey: Journey, now: float) -> list[Effect]:
        effects: list[Effect] = []
        # Counted here, behind the tempo of each origin: no single node makes a rush.
        if not self.is_rush(now):
            self._calm.spend(1, now)
        named_only = journey.named_only or (journey.source is not None and self.is_rush(now))
        for branch in self.branches():
            if branch.link == journey.source:
                branch.shows(record.node)
            elif branch.eager and not named_only:
                branch.lazy.pop(record.node, None)
                branch.outbox.add_fresh(record.node)
                if journey.with_certificate:
                    branch.outbox.add_certificate(record.certificate)
                effects += branch.outbox.flush(now)
            else:
                if not branch.lazy:
                    crowd = min(max(1.0, len(self._branches) / CROWD), MOST_CROWDED)
                    branch.name_at = now + self._random.uniform(*NAMED_WITHIN) * crowd
                branch.lazy[record.node] = None
        return effects

    def _name(self, branch: Branch, now: float) -> list[Effect]:
        records = [self._shelf.record(node) for node in branch.lazy]
        branch.lazy.clear()
        ids = b"".join(record.id12 for record in records if record is not None)
        return [branch.outbox.say(Have(ids), now)] if ids else []
