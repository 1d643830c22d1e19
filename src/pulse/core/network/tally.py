"""Flows by rule, summed at the scribe from what every node says that it counted.

A node says how many flows each rule decided on there since that node started, never how many more: a report that comes
twice, late or not at all makes no sum wrong. Invariant: each flow that a node reports is counted once, in the name of
that node, whose word it is: what it may say is bounded, and goes with it.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Annotated, Final

import msgspec

from pulse.core.messages import RPC_LIMIT, U53, Time, Wire, unpack
from pulse.core.network.netconfig import NODES_LIMIT
from pulse.core.network.policy import RULES_LIMIT
from pulse.core.trust.identity import node_bytes, node_from_bytes
from pulse.core.types import Digest, NodeId, Nonce, ShortText
from pulse.errors import Refused

UNMATCHED: Final = ""
"""Stands where a rule's id does, for flows that no rule matched."""

COUNTS_LIMIT: Final = RULES_LIMIT + 1
"""Counts of one node: of every rule, and of none."""

PAIRS_LIMIT: Final = 131_072
"""Counts of all nodes together: about 20 MB of memory, and 2 MB on disk."""

MOST_TOLD: Final = 8
"""Nodes told of one rule, those with most flows."""

FASTEST: Final = 1_000_000
"""Flows a second that a node may count for a rule: more than any data plane opens."""

AT_FIRST: Final = 10**12
"""Flows it may have counted before the scribe heard of it."""

_MOST: Final = 2**53 - 1

Counts = Annotated[dict[ShortText, U53], msgspec.Meta(max_length=COUNTS_LIMIT)]


class Report(Wire, frozen=True):
    """Body of `hits.report`: what the caller has counted in this life."""

    boot: Nonce
    """Another one is another life, in which it counts from nothing."""
    seq: U53
    """Rises with each report in one life that tells something else."""
    counts: Counts


class Kept(Wire, frozen=True):
    """Its answer: the newest report of that life that is on the scribe's disk; 0 for none."""

    seq: U53


class Share(Wire, frozen=True):
    """What one node counted for a rule."""

    node: Digest
    flows: U53


class Sum(Wire, frozen=True):
    """What all nodes together counted for a rule."""

    rule: ShortText
    flows: U53
    last: Time | None
    """When it was last heard to be more; None if never."""
    nodes: Annotated[list[Share], msgspec.Meta(max_length=MOST_TOLD)]
    """Those with most flows, the first one first."""
    count: U53
    """All nodes that counted any."""


class Sums(Wire, frozen=True):
    """The answer to `hits.get`: every rule that decided on anything, and `UNMATCHED`."""

    sums: Annotated[list[Sum], msgspec.Meta(max_length=COUNTS_LIMIT)]


class Account(Wire, frozen=True):
    """What one node counted, as it is on disk."""

    node: Digest
    boot: Nonce
    seq: U53
    now: Counts
    """In the life it is in."""
    before: Counts
    """In all lives before that."""
    since: Time | None = None
    """When it was first heard; None as an older release wrote it."""


class Ledgered(Wire, frozen=True):
    """A whole tally, as it is on disk; later releases append fields."""

    accounts: Annotated[list[Account], msgspec.Meta(max_length=NODES_LIMIT)]
    last: Annotated[dict[ShortText, Time], msgspec.Meta(max_length=COUNTS_LIMIT)]
    past: Counts
    """Always empty: an older release kept here what nodes had said that are out for good."""


_reports = msgspec.msgpack.Decoder(Report)
_kept = msgspec.msgpack.Decoder(Kept)
_sums = msgspec.msgpack.Decoder(Sums)


def read_report(data: bytes) -> Report:
    """A report in its bytes; raises ProtocolError."""
    return unpack(_reports, data, "report of hits", RPC_LIMIT)


def read_kept(data: bytes) -> Kept:
    """Its answer; raises ProtocolError."""
    return unpack(_kept, data, "answer to a report of hits", RPC_LIMIT)


def read_sums(data: bytes) -> Sums:
    """Sums in their bytes; raises ProtocolError."""
    return unpack(_sums, data, "sums of hits", RPC_LIMIT)


@dataclass(slots=True)
class _Life:
    """A node that reports."""

    boot: bytes
    since: float | None
    """When it was first heard; None until it is heard, if an older release kept it."""
    seq: int = 0
    kept: int = 0
    """The newest report on disk."""
    now: dict[str, int] = field(default_factory=dict)
    before: dict[str, int] = field(default_factory=dict)

    def begin(self, boot: bytes) -> None:
        """Another life: what was counted so far stays, and the next counts come on top."""
        for rule, flows in self.now.items():
            self.before[rule] = min(_MOST, self.before.get(rule, 0) + flows)
        self.boot, self.seq, self.kept, self.now = boot, 0, 0, {}

    def total(self, rule: str) -> int:
        return self.before.get(rule, 0) + self.now.get(rule, 0)

    def believed(self, rule: str, flows: int, wall: float) -> int:
        """So many of the flows it says that it counted in this life."""
        if self.since is None:
            self.since = wall
        most = AT_FIRST + int(FASTEST * max(0.0, wall - self.since))
        return max(0, min(flows, most - self.before.get(rule, 0)))

    def rules(self) -> set[str]:
        return {*self.now, *self.before}

    def counts(self) -> int:
        return len(self.now) + len(self.before)


@dataclass(slots=True)
class Tally:
    """What the nodes of a mesh have counted."""

    changed: bool = field(default=False, init=False)
    """There is something that is not on disk yet."""
    _lives: dict[NodeId, _Life] = field(default_factory=dict, init=False)
    _last: dict[str, float] = field(default_factory=dict, init=False)
    _pairs: int = field(default=0, init=False)
    """Counts of all lives together."""

    @classmethod
    def of(cls, kept: Ledgered) -> "Tally":
        """The tally that was kept on disk."""
        tally = cls()
        for each in kept.accounts:
            life = _Life(each.boot, each.since, each.seq, each.seq, dict(each.now), dict(each.before))
            tally._lives[node_from_bytes(each.node)] = life
        tally._last = dict(kept.last)
        tally._count()
        return tally

    # Facts

    def reported(self, node: NodeId, report: Report, rules: Collection[str], wall: float) -> Kept:
        """A node said what it counted; of rules that are not in force nothing is kept, nor what no node can count.

        Raises Refused if there is no more room for what it says.
        """
        old = self._lives.get(node)
        if report.seq <= (old.seq if old is not None and old.boot == report.boot else 0):
            return Kept(old.kept if old is not None and old.boot == report.boot else 0)
        life = self._life(node, report.boot, wall)
        believed = {
            rule: life.believed(rule, flows, wall)
            for rule, flows in report.counts.items()
            if rule in rules or rule == UNMATCHED
        }
        risen = {rule: flows for rule, flows in believed.items() if flows > life.now.get(rule, 0)}
        fresh = len(risen.keys() - life.now.keys())
        if self._pairs + fresh > PAIRS_LIMIT:
            raise Refused(f"the scribe keeps {PAIRS_LIMIT} counts of hits already, and takes no more")
        self._pairs += fresh
        life.now |= risen
        self._last |= dict.fromkeys(risen, wall)
        life.seq, self.changed = report.seq, True
        return Kept(life.kept)

    def rules_changed(self, rules: Collection[str]) -> None:
        """Other rules are in force: what was counted for those that are gone is forgotten, for no id comes again."""
        gone = self._counted() - {*rules, UNMATCHED}
        for rule in gone:
            for life in self._lives.values():
                life.now.pop(rule, None)
                life.before.pop(rule, None)
            self._last.pop(rule, None)
        if gone:
            self.changed = True
            self._count()

    def nodes_revoked(self, revoked: Collection[NodeId]) -> None:
        """These are out for good: what they said goes with them, for it may have been a lie."""
        for node in self._lives.keys() & set(revoked):
            self._pairs -= self._lives.pop(node).counts()
            self.changed = True

    def written(self) -> None:
        """All of it is on disk."""
        self.changed = False
        for life in self._lives.values():
            life.kept = life.seq

    # Queries

    def ledgered(self) -> Ledgered:
        """All of it, for the disk."""
        accounts = [
            Account(node_bytes(node), life.boot, life.seq, dict(life.now), dict(life.before), life.since)
            for node, life in self._lives.items()
        ]
        return Ledgered(accounts, dict(self._last), {})

    def sums(self) -> Sums:
        """All there is of each rule, the one with most flows first."""
        shares: dict[str, list[tuple[int, NodeId]]] = {}
        for node, life in self._lives.items():
            for rule in life.rules():
                shares.setdefault(rule, []).append((life.total(rule), node))
        found = [self._sum(rule, each) for rule, each in shares.items()]
        return Sums(sorted(found, key=lambda each: (-each.flows, each.rule)))

    # Details

    def _life(self, node: NodeId, boot: bytes, wall: float) -> _Life:
        life = self._lives.get(node)
        if life is None:
            if len(self._lives) >= NODES_LIMIT:
                raise Refused(f"the scribe keeps the hits of {NODES_LIMIT} nodes already, and takes no more")
            life = self._lives[node] = _Life(boot, wall)
        elif life.boot != boot:
            self._pairs -= life.counts()
            life.begin(boot)
            self._pairs += life.counts()
        return life

    def _sum(self, rule: str, shares: list[tuple[int, NodeId]]) -> Sum:
        most = sorted(shares, key=lambda each: (-each[0], each[1]))[:MOST_TOLD]
        flows = min(_MOST, sum(each for each, _ in shares))
        told = [Share(node_bytes(node), min(_MOST, each)) for each, node in most]
        return Sum(rule, flows, self._last.get(rule), told, len(shares))

    def _counted(self) -> set[str]:
        return set(self._last).union(*(life.rules() for life in self._lives.values()))

    def _count(self) -> None:
        self._pairs = sum(life.counts() for life in self._lives.values())


def in_force(counted: Mapping[str, int], unmatched: int, rules: Collection[str]) -> dict[str, int]:
    """What a node has to report: flows of rules that are in force, and of none; nothing of what is still 0."""
    found = {rule: flows for rule, flows in counted.items() if flows and rule in rules}
    return found | ({UNMATCHED: unmatched} if unmatched else {})
