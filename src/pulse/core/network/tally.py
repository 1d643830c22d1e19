"""Counters that every node tells the scribe whole, kept there by node over all lives of each.

A node says what it has counted since it started, never what came on top: a report that comes twice, late or not at all
makes no sum wrong. Invariant: what a node reports is counted once, in the name of that node, whose word it is: what it
may say is bounded, and goes with it.
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Annotated, Final, TypeVar

import msgspec

from pulse.core.messages import RPC_LIMIT, U53, MethodName, Time, Wire, unpack
from pulse.core.network.netconfig import NODES_LIMIT
from pulse.core.network.policy import RULES_LIMIT
from pulse.core.trust.identity import node_bytes, node_from_bytes
from pulse.core.types import Digest, NodeId, Nonce, ShortText
from pulse.errors import Refused

_V = TypeVar("_V")

COUNTERS_LIMIT: Final = RULES_LIMIT + 1
"""Counters of one node: one of every rule, and of none."""

PAIRS_LIMIT: Final = 131_072
"""Counters of all nodes together: about 20 MB of memory, and 2 MB on disk."""

GAUGES_LIMIT: Final = 16

GONE: Final = 7 * 86_400.0
"""Seconds of silence after which a node gives way to another, where there is no room for both: a week."""

MOST: Final = 2**53 - 1

Counters = Annotated[dict[ShortText, U53], msgspec.Meta(max_length=COUNTERS_LIMIT)]
"""By name; none of them ever gets less in one life, and what is still 0 may be left out."""

Gauge = Annotated[float, msgspec.Meta(ge=0, le=2**53)]

Gauges = Annotated[dict[ShortText, Gauge], msgspec.Meta(max_length=GAUGES_LIMIT)]
"""What is so now, such as rates: nothing of it is summed or kept."""


@dataclass(frozen=True, slots=True)
class Kind:
    """What is counted, and how much of it is believed."""

    name: str
    report: MethodName
    """The call that tells the scribe."""
    summed: MethodName
    """The call that asks it."""
    fastest: int
    """What one counter of a node may rise by each second."""
    at_first: int
    """What it may have risen to before the scribe heard of the node."""


class Report(Wire, frozen=True):
    """Body of `hits.report` and `stats.report`: what the caller has counted in this life."""

    boot: Nonce
    """Another one is another life, in which it counts from nothing."""
    seq: U53
    """Rises with each report in one life whose counts are others."""
    counts: Counters
    gauges: Gauges = msgspec.field(default_factory=dict)


class Kept(Wire, frozen=True):
    """Its answer: the newest report of that life that is on the scribe's disk; 0 for none."""

    seq: U53


class Entry(Wire, frozen=True):
    """What one node counted, as it is on disk; later releases append fields."""

    node: Digest
    boot: Nonce
    seq: U53
    now: Counters
    """In the life it is in."""
    before: Counters
    """In all lives before that."""
    since: Time
    """When it was first heard."""
    heard: Time


class Ledgered(Wire, frozen=True):
    """A whole tally, as it is on disk; later releases append fields."""

    entries: Annotated[list[Entry], msgspec.Meta(max_length=NODES_LIMIT)]
    last: Annotated[dict[ShortText, Time], msgspec.Meta(max_length=COUNTERS_LIMIT)]
    """When each counter was last heard to be more, of any node."""


_reports = msgspec.msgpack.Decoder(Report)
_kept = msgspec.msgpack.Decoder(Kept)


def read_report(data: bytes) -> Report:
    """A report in its bytes; raises ProtocolError."""
    return unpack(_reports, data, "report of counters", RPC_LIMIT)


def read_kept(data: bytes) -> Kept:
    """Its answer; raises ProtocolError."""
    return unpack(_kept, data, "answer to a report of counters", RPC_LIMIT)


@dataclass(slots=True)
class Life:
    """A node that reports."""

    boot: bytes
    since: float
    heard: float
    """When it last said anything."""
    seq: int = 0
    kept: int = 0
    """The newest report on disk."""
    now: dict[str, int] = field(default_factory=dict)
    before: dict[str, int] = field(default_factory=dict)
    gauges: Mapping[str, float] | None = None
    """None until it reports in this run of the scribe."""

    def begin(self, boot: bytes) -> None:
        """Another life: what was counted so far stays, and the next counts come on top."""
        self.before, self.now = self.totals(), {}
        self.boot, self.seq, self.kept = boot, 0, 0

    def total(self, name: str) -> int:
        """One counter, over all lives."""
        return min(MOST, self.before.get(name, 0) + self.now.get(name, 0))

    def totals(self) -> dict[str, int]:
        """Each counter that is not 0, over all lives."""
        return {name: self.total(name) for name in (*self.before, *self.now)}

    def pairs(self) -> int:
        """How many counts are kept of it."""
        return len(self.now) + len(self.before)


@dataclass(slots=True)
class Tally:
    """What the nodes of a mesh have counted of one kind."""

    kind: Kind
    changed: bool = field(default=False, init=False)
    """There is something that is not on disk yet."""
    last: dict[str, float] = field(default_factory=dict, init=False)
    """When each counter was last heard to be more, of any node."""
    lives: dict[NodeId, Life] = field(default_factory=dict, init=False)
    _names: Collection[str] = field(default=(), init=False)
    _pairs: int = field(default=0, init=False)
    """Counts of all lives together."""

    @classmethod
    def of(cls, kind: Kind, kept: Ledgered) -> "Tally":
        """The tally that was kept on disk."""
        tally = cls(kind)
        for each in kept.entries:
            life = Life(each.boot, each.since, each.heard, each.seq, each.seq, dict(each.now), dict(each.before))
            tally.lives[node_from_bytes(each.node)] = life
        tally.last = dict(kept.last)
        tally._count()
        return tally

    # Facts

    def reported(self, node: NodeId, report: Report, wall: float) -> Kept:
        """A node said what it counted; of unknown counters nothing is kept, nor what no node can count.

        Raises Refused if there is no more room for what it says.
        """
        life = self._life(node, report.boot, wall)
        if report.seq > life.seq:
            self._count_of(life, report, wall)
        if report.seq >= life.seq:
            life.heard, life.gauges = wall, report.gauges
        return Kept(life.kept)

    def names_known(self, names: Collection[str]) -> None:
        """These counters there are: what was counted of others is forgotten, for no name comes again."""
        if names == self._names:
            return
        self._names = names
        gone = {*self.last, *(name for life in self.lives.values() for name in life.totals())} - {*names}
        if not gone:
            return
        self.last = _without(self.last, gone)
        for life in self.lives.values():
            life.now, life.before = _without(life.now, gone), _without(life.before, gone)
        self._count()
        self.changed = True

    def nodes_revoked(self, revoked: Iterable[NodeId]) -> None:
        """These are out for good: what they said goes with them, for it may have been a lie."""
        for node in self.lives.keys() & set(revoked):
            self._drop(node)
            self.changed = True

    def written(self) -> None:
        """All of it is on disk."""
        self.changed = False
        for life in self.lives.values():
            life.kept = life.seq

    # Queries

    def ledgered(self) -> Ledgered:
        """All of it, for the disk."""
        entries = [
            Entry(node_bytes(node), life.boot, life.seq, dict(life.now), dict(life.before), life.since, life.heard)
            for node, life in self.lives.items()
        ]
        return Ledgered(entries, dict(self.last))

    # Details

    def _life(self, node: NodeId, boot: bytes, wall: float) -> Life:
        life = self.lives.get(node)
        if life is None:
            self._make_room(wall)
            life = self.lives[node] = Life(boot, wall, wall)
        elif life.boot != boot:
            self._pairs -= life.pairs()
            life.begin(boot)
            self._pairs += life.pairs()
        return life

    def _count_of(self, life: Life, report: Report, wall: float) -> None:
        believed = {
            name: self._believed(life, name, count, wall)
            for name, count in report.counts.items()
            if name in self._names
        }
        risen = {name: count for name, count in believed.items() if count > life.now.get(name, 0)}
        fresh = len(risen.keys() - life.now.keys())
        if self._pairs + fresh > PAIRS_LIMIT:
            raise Refused(f"the scribe keeps {PAIRS_LIMIT} counts of {self.kind.name} already, and takes no more")
        self._pairs += fresh
        life.now |= risen
        life.seq, self.changed = report.seq, True
        self.last |= dict.fromkeys(risen, wall)

    def _believed(self, life: Life, name: str, count: int, wall: float) -> int:
        """So much of what it says that it counted in this life."""
        most = self.kind.at_first + int(self.kind.fastest * max(0.0, wall - life.since))
        return max(0, min(count, most - life.before.get(name, 0)))

    def _make_room(self, wall: float) -> None:
        """Where there is none, who was silent longest gives way, if it was long enough."""
        if len(self.lives) < NODES_LIMIT:
            return
        oldest = min(self.lives, key=lambda node: self.lives[node].heard)
        if wall - self.lives[oldest].heard < GONE:
            raise Refused(f"the scribe keeps the {self.kind.name} of {NODES_LIMIT} nodes already, and takes no more")
        self._drop(oldest)

    def _drop(self, node: NodeId) -> None:
        self._pairs -= self.lives.pop(node).pairs()

    def _count(self) -> None:
        self._pairs = sum(life.pairs() for life in self.lives.values())


def _without(counts: Mapping[str, _V], gone: set[str]) -> dict[str, _V]:
    return {name: count for name, count in counts.items() if name not in gone}
