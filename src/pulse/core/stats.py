"""Traffic by node, summed at the scribe from what every node says that it counted; and rates of what is counted.

As with hits (`core/network/tally.py`) a node tells counts of its life so far, never what came on top: a report that
comes twice, late or not at all makes no sum wrong. Invariant: every byte that a node reports is counted once, in the
name of that node, whose word it is: what it may say is bounded, and goes with it.
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Annotated, Final

import msgspec

from pulse.core.messages import RPC_LIMIT, U32, U53, Time, Wire, unpack
from pulse.core.network.netconfig import NODES_LIMIT
from pulse.core.trust.identity import node_bytes, node_from_bytes
from pulse.core.types import Digest, NodeId, Nonce
from pulse.errors import Refused

FASTEST: Final = 125 * 10**9
"""Bytes, packets or connections a second that a node may count: 1 Tbit/s, more than any data plane moves."""

AT_FIRST: Final = 10**14
"""What it may have counted before the scribe heard of it: 100 TB."""

LEAST_SPAN: Final = 2.0
"""Seconds over which a rate is taken, at least."""

FRESH: Final = 30.0
"""Seconds for which a node's word about its rates holds: three reports."""

IDLE: Final = 150.0
"""The same where it said that nothing moves: it says that once a minute."""

GONE: Final = 7 * 86_400.0
"""Seconds of silence after which a node gives way to another, where there is no room for both: a week."""

_MOST: Final = 2**53 - 1

Rate = Annotated[float, msgspec.Meta(ge=0, le=2**53)]
"""Bytes a second."""


class Counts(Wire, frozen=True):
    """What was exchanged with other nodes; none of it ever gets less in one life."""

    bytes_in: U53 = 0
    """Of IP packets, and of connections."""
    bytes_out: U53 = 0
    packets_in: U53 = 0
    packets_out: U53 = 0
    conns: U53 = 0
    """Connections that were opened to or from here: SOCKS, forwards, tunnels."""

    def plus(self, other: "Counts") -> "Counts":
        """Both together."""
        return Counts(*(min(_MOST, one + two) for one, two in _pairs(self, other)))

    def at_least(self, other: "Counts") -> "Counts":
        """The greater of each."""
        return Counts(*(max(pair) for pair in _pairs(self, other)))


NOTHING: Final = Counts()


class Report(Wire, frozen=True):
    """Body of `stats.report`: what the caller has counted in this life."""

    boot: Nonce
    """Another one is another life, in which it counts from nothing."""
    seq: U53
    """Rises with each report in one life that tells something else."""
    counts: Counts
    active: U32
    """Connections that are open now."""
    rate_in: Rate
    """Of late, by the caller's own clock."""
    rate_out: Rate


class Row(Wire, frozen=True):
    """What one node counted, or was counted of one peer."""

    node: Digest
    counts: Counts
    active: U32 = 0
    rate_in: Rate | None = None
    """None if it is not known for now."""
    rate_out: Rate | None = None
    heard: Time | None = None
    """When the scribe last heard of it; None where it counted itself."""


class Rows(Wire, frozen=True):
    """The answer to `stats.get` and `stats.peers`."""

    rows: Annotated[list[Row], msgspec.Meta(max_length=NODES_LIMIT)]
    whole: bool = True
    """All there is; False if the caller is told of itself alone."""


class Account(Wire, frozen=True):
    """What one node counted, as it is on disk; later releases append fields."""

    node: Digest
    boot: Nonce
    seq: U53
    now: Counts
    """In the life it is in."""
    before: Counts
    """In all lives before that."""
    since: Time
    """When it was first heard."""
    heard: Time


class Book(Wire, frozen=True):
    """All totals, as they are on disk; later releases append fields."""

    accounts: Annotated[list[Account], msgspec.Meta(max_length=NODES_LIMIT)]


_reports = msgspec.msgpack.Decoder(Report)
_rows = msgspec.msgpack.Decoder(Rows)


def read_report(data: bytes) -> Report:
    """A report in its bytes; raises ProtocolError."""
    return unpack(_reports, data, "report of traffic", RPC_LIMIT)


def read_rows(data: bytes) -> Rows:
    """Rows in their bytes; raises ProtocolError."""
    return unpack(_rows, data, "traffic", RPC_LIMIT)


@dataclass(slots=True)
class _Life:
    """A node that reports."""

    boot: bytes
    since: float
    heard: float
    seq: int = 0
    now: Counts = NOTHING
    before: Counts = NOTHING
    active: int = 0
    rates: tuple[float, float] | None = None
    """None until it reports in this run of the scribe."""

    def begin(self, boot: bytes) -> None:
        """Another life: what was counted so far stays, and the next counts come on top."""
        self.boot, self.seq = boot, 0
        self.before, self.now = self.total(), NOTHING

    def total(self) -> Counts:
        return self.before.plus(self.now)

    def believed(self, counts: Counts, wall: float) -> Counts:
        """So much of what it says that it counted in this life."""
        most = AT_FIRST + int(FASTEST * max(0.0, wall - self.since))
        return Counts(*(max(0, min(now, most - before)) for now, before in _pairs(counts, self.before)))


@dataclass(slots=True)
class Totals:
    """What the nodes of a mesh have counted, over all lives of each."""

    changed: bool = field(default=False, init=False)
    """There is something that is not on disk yet."""
    _lives: dict[NodeId, _Life] = field(default_factory=dict, init=False)

    @classmethod
    def of(cls, book: Book) -> "Totals":
        """The totals that were kept on disk."""
        totals = cls()
        for each in book.accounts:
            life = _Life(each.boot, each.since, each.heard, each.seq, each.now, each.before)
            totals._lives[node_from_bytes(each.node)] = life
        return totals

    # Facts

    def reported(self, node: NodeId, report: Report, wall: float) -> None:
        """A node said what it counted; of what no node can count nothing is kept.

        Raises Refused if there is no more room for it.
        """
        life = self._life(node, report.boot, wall)
        if report.seq < life.seq:
            return
        if report.seq > life.seq:
            life.now = life.now.at_least(life.believed(report.counts, wall))
            life.seq, self.changed = report.seq, True
        life.heard, life.active = wall, report.active
        life.rates = min(report.rate_in, FASTEST), min(report.rate_out, FASTEST)

    def nodes_revoked(self, revoked: Collection[NodeId]) -> None:
        """These are out for good: what they said goes with them, for it may have been a lie."""
        for node in self._lives.keys() & set(revoked):
            del self._lives[node]
            self.changed = True

    def written(self) -> None:
        """All of it is on disk."""
        self.changed = False

    # Queries

    def book(self) -> Book:
        """All of it, for the disk."""
        return Book([
            Account(node_bytes(node), life.boot, life.seq, life.now, life.before, life.since, life.heard)
            for node, life in self._lives.items()
        ])  # fmt: skip

    def row(self, node: NodeId, wall: float) -> Row:
        """What one node counted."""
        life = self._lives.get(node)
        if life is None:
            return Row(node_bytes(node), NOTHING)
        holds = IDLE if life.rates == (0.0, 0.0) else FRESH
        known = life.rates if wall - life.heard <= holds else None
        rate_in, rate_out = known or (None, None)
        active = life.active if known else 0
        return Row(node_bytes(node), life.total(), active, rate_in, rate_out, life.heard)

    def rows(self, wall: float) -> list[Row]:
        """What each node counted, the one that moved most first."""
        found = [self.row(node, wall) for node in self._lives]
        return sorted(found, key=lambda each: (-each.counts.bytes_in - each.counts.bytes_out, each.node))

    # Details

    def _life(self, node: NodeId, boot: bytes, wall: float) -> _Life:
        life = self._lives.get(node)
        if life is None:
            self._make_room(wall)
            life = self._lives[node] = _Life(boot, wall, wall)
        elif life.boot != boot:
            life.begin(boot)
        return life

    def _make_room(self, wall: float) -> None:
        """Where there is none, who was silent longest gives way, if it was long enough."""
        if len(self._lives) < NODES_LIMIT:
            return
        oldest = min(self._lives, key=lambda node: self._lives[node].heard)
        if wall - self._lives[oldest].heard < GONE:
            raise Refused(f"the scribe keeps the traffic of {NODES_LIMIT} nodes already, and takes no more")
        del self._lives[oldest]


@dataclass(slots=True)
class _Look:
    """What was counted at one time."""

    at: float
    counts: Mapping[NodeId, Counts]


@dataclass(slots=True)
class Meter:
    """How fast the counts of each peer rise: since one of the last two looks, whichever was long enough ago."""

    _looks: list[_Look] = field(default_factory=list, init=False)

    def looked(self, counts: Mapping[NodeId, Counts], now: float) -> None:
        """So much was counted by now."""
        self._looks = [*self._looks[-1:], _Look(now, counts)]

    def rates(self, counts: Mapping[NodeId, Counts], now: float) -> dict[NodeId, tuple[float, float]]:
        """Bytes in and out a second, by peer; nothing before there was a look to compare with."""
        before = next((each for each in reversed(self._looks) if now - each.at >= LEAST_SPAN), None)
        if before is None:
            return {}
        seconds = now - before.at
        return {node: _rates(each, before.counts.get(node, NOTHING), seconds) for node, each in counts.items()}


def together(counts: Iterable[Counts]) -> Counts:
    """The sum of all."""
    total = NOTHING
    for each in counts:
        total = total.plus(each)
    return total


def _rates(now: Counts, before: Counts, seconds: float) -> tuple[float, float]:
    came, went = now.bytes_in - before.bytes_in, now.bytes_out - before.bytes_out
    return max(0, came) / seconds, max(0, went) / seconds


def _pairs(one: Counts, two: Counts) -> Iterable[tuple[int, int]]:
    return zip(msgspec.structs.astuple(one), msgspec.structs.astuple(two), strict=True)
