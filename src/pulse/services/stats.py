"""Counts traffic: every node reports what it exchanged with others to the scribe, which sums it by node.

Invariant: a node says all it counted again at least once a minute, and a report changes no sum twice; so neither a
restart of the scribe nor a lost report loses or doubles what a node that still runs has counted.
"""

import asyncio
import logging
import secrets
from collections.abc import Callable, Collection, Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from random import Random, SystemRandom
from typing import Protocol

from msgspec.structs import replace

from pulse import clock
from pulse.core.messages import MethodName, pack
from pulse.core.network.statements import Statements
from pulse.core.stats import (
    NOTHING,
    Counts,
    Meter,
    Report,
    Row,
    Rows,
    Totals,
    read_report,
    read_rows,
    together,
)
from pulse.core.trust.identity import node_bytes, node_from_bytes
from pulse.core.trust.members import Members
from pulse.core.types import SHORT_ID, NodeId
from pulse.errors import LinkError, PulseError, Refused
from pulse.net.links import PeerTraffic, Rpc
from pulse.schemas.scribe import Traffic
from pulse.schemas.stats import Stats, StatsQuery, TrafficRow
from pulse.store import stats as store

log = logging.getLogger(__name__)

PAUSE = 10.0
"""Seconds between two reports, of nodes that have something to report; a quarter more or less, by chance."""

LONGEST_PAUSE = 20.0
"""Seconds, doubling while the scribe is out of reach."""

AGAIN = 60.0
"""Seconds after which a node that has nothing to report says so, and between two writes of the scribe."""

PATIENCE = 8.0
"""Seconds for another node to answer: less than the client waits."""

LAST_WORDS = 0.5
"""Seconds for the last report of a node that stops."""

CONNECTIONS = "(connections)"
"""Stands for those of a node among its peers: no node has such a name."""


class Connections(Protocol):
    """Connections that this node carries over streams, however they begin: SOCKS, forwards, tunnels."""

    @property
    def active(self) -> int:
        """Those that are open now."""
        ...

    @property
    def total(self) -> int:
        """All since the node started."""
        ...

    @property
    def bytes_in(self) -> int:
        """What came from other nodes over them since then."""
        ...

    @property
    def bytes_out(self) -> int: ...


@dataclass(slots=True)
class _Told:
    """What this node has told the scribe."""

    scribe: NodeId | None = None
    report: Report | None = None
    seq: int = 0
    at: float = 0.0


@dataclass(slots=True)
class StatsService:
    """One node as it counts, and, while the roles name it, as the scribe that sums."""

    me: NodeId
    statements: Statements
    members: Members
    ca_nodes: Callable[[], frozenset[NodeId]]
    counted: Callable[[], Iterable[PeerTraffic]]
    """By the data plane, since it started."""
    call: Rpc
    data_dir: Path
    totals: Totals
    connections: Collection[Connections] = ()
    """What else counts, beside the packets."""
    random: Random = field(default_factory=SystemRandom)
    _boot: bytes = field(default_factory=lambda: secrets.token_bytes(16), init=False)
    _meter: Meter = field(default_factory=Meter, init=False)
    _told: _Told = field(default_factory=_Told, init=False)
    _wrote: float = field(default=0.0, init=False)

    @classmethod
    def restored(
        cls,
        me: NodeId,
        statements: Statements,
        members: Members,
        ca_nodes: Callable[[], frozenset[NodeId]],
        counted: Callable[[], Iterable[PeerTraffic]],
        call: Rpc,
        data_dir: Path,
    ) -> "StatsService":
        """With the totals of an earlier run, if this node was the scribe then."""
        totals, warning = store.load(data_dir)
        if warning:
            log.warning("totals of traffic lost", extra={"error": warning})
        return cls(me, statements, members, ca_nodes, counted, call, data_dir, totals)

    async def run(self) -> None:
        """Report, and as the scribe keep the totals; until cancelled, and then they are kept once more."""
        self._meter.looked(self._peers(), _now())
        pause = PAUSE
        try:
            while True:
                await asyncio.sleep(pause * self.random.uniform(0.75, 1.25))
                pause = PAUSE if await self._reported() else min(pause * 2, LONGEST_PAUSE)
                if _now() - self._wrote >= AGAIN:
                    self._write()
        finally:
            self._write()

    async def leave(self) -> None:
        """Report a last time before the node stops, if it has counted anything; a scribe that was gone may be back."""
        if self._own_row().counts != NOTHING:
            with suppress(TimeoutError):
                async with asyncio.timeout(LAST_WORDS):
                    await self._reported()

    # Asked by other nodes

    async def report(self, caller: NodeId, body: bytes) -> bytes:
        """The RPC `stats.report`, on the scribe. Raises LinkError while this node is not the one to sum, or Refused."""
        self._take(caller, read_report(body))
        return b""

    async def summed(self, caller: NodeId, _: bytes) -> bytes:
        """The RPC `stats.get`, on the scribe: all to who may edit, to others their own. Raises the same."""
        self._check_summing()
        if self._may_know(caller):
            return pack(Rows(self.totals.rows(clock.wall())))
        return pack(Rows([self.totals.row(caller, clock.wall())], whole=False))

    async def by_peer(self, caller: NodeId, _: bytes) -> bytes:
        """The RPC `stats.peers`, on any node, for who may edit: it tells who talks to whom. Raises Refused."""
        if not self._may_know(caller):
            raise Refused(
                f"{self.members.named(caller)} is no operator, and is told its own traffic alone: pulse stats\n"
                f"Make it one, on the CA: pulse ca grant {caller[:SHORT_ID]} operator"
            )
        return pack(Rows(self._rows_by_peer()))

    # Asked by people

    async def stats(self, wanted: StatsQuery) -> Stats:
        """Traffic by node, or of one node by peer.

        Raises NotFound or Conflict for a node that nobody knows; Refused if this node may not know of it, or
        LinkError if it is out of reach.
        """
        if not wanted.node:
            return await self._of_all()
        node = self.members.resolve(wanted.node).node_id
        rows = self._rows_by_peer() if node == self.me else await self._asked_for_peers(node)
        label, shown = self.members.label_of(node), map(self._shown, rows)
        named = [replace(row, name=CONNECTIONS) if row.id == node else row for row in shown]
        return Stats(label, label, True, "", named)

    def by_node(self) -> dict[str, Traffic]:
        """What each node exchanged, by its id: of all at the scribe; elsewhere of this node since it started."""
        if not self._is_summing():
            return {self.me: _traffic(self._own_row())}
        return {node_from_bytes(row.node): _traffic(row) for row in self._fresh_rows()}

    # Details: what this node counted

    async def _reported(self) -> bool:
        """Report what is new, if anything is; False if the scribe did not take it."""
        own, now = self._own_row(), _now()
        self._meter.looked(self._peers(), now)
        scribe = self.statements.roles.scribe
        if scribe is None or not self.statements.in_force:
            return True
        told = self._told_to(scribe)
        report = self._made(own, told)
        if report == told.report and now - told.at < AGAIN:
            return True
        told.seq = report.seq
        try:
            await self._deliver(scribe, report)
        except PulseError as error:
            log.debug("traffic not reported", extra={"node": scribe[:SHORT_ID], "error": str(error)})
            told.report = None
            return False
        told.report, told.at = report, now
        return True

    def _told_to(self, scribe: NodeId) -> _Told:
        if scribe != self._told.scribe:
            self._told = _Told(scribe, seq=self._told.seq)
        return self._told

    def _made(self, own: Row, told: _Told) -> Report:
        """Other counts go under a number of their own, whether or not they arrive."""
        fresh = told.report is None or told.report.counts != own.counts
        seq = told.seq + 1 if fresh else told.seq
        return Report(self._boot, seq, own.counts, own.active, own.rate_in or 0.0, own.rate_out or 0.0)

    async def _deliver(self, scribe: NodeId, report: Report) -> None:
        if scribe == self.me:
            self._take(self.me, report)
        else:
            await self.call(scribe, MethodName.STATS, pack(report), PATIENCE)

    def _peers(self) -> dict[NodeId, Counts]:
        """Packets exchanged with each node; under our own id what connections carried, with whomever."""
        counts = {
            each.node: Counts(each.bytes_in, each.bytes_out, each.packets_in, each.packets_out)
            for each in self.counted()
        }
        streams = (Counts(each.bytes_in, each.bytes_out, 0, 0, each.total) for each in self.connections)
        return {**counts, self.me: together(streams)}

    def _own_row(self) -> Row:
        peers = self._peers()
        rates = self._meter.rates(peers, _now())
        return Row(
            node_bytes(self.me),
            together(peers.values()),
            self._active(),
            sum(came for came, _ in rates.values()) if rates else None,
            sum(went for _, went in rates.values()) if rates else None,
        )

    def _rows_by_peer(self) -> list[Row]:
        """Of each peer with which anything was exchanged, the one with most first."""
        peers = self._peers()
        rates = self._meter.rates(peers, _now())
        rows = [
            Row(node_bytes(node), counts, self._active() if node == self.me else 0, *rates.get(node, (None, None)))
            for node, counts in peers.items()
            if counts != NOTHING
        ]
        return sorted(rows, key=lambda row: (-row.counts.bytes_in - row.counts.bytes_out, row.node))

    def _active(self) -> int:
        return sum(each.active for each in self.connections)

    # Details: what all counted

    def _is_summing(self) -> bool:
        return self.statements.roles.scribe == self.me and self.statements.in_force

    def _check_summing(self) -> None:
        if not self._is_summing():
            raise LinkError("this node does not sum traffic: it is not the scribe, or has no network config yet")
        self.totals.nodes_revoked(self.statements.revoked())

    def _may_know(self, caller: NodeId) -> bool:
        return self.statements.roles.may_edit(caller, self.ca_nodes())

    def _take(self, node: NodeId, report: Report) -> None:
        self._check_summing()
        if node in self.statements.revoked():
            raise Refused("a revoked node reports nothing")
        self.totals.reported(node, report, clock.wall())

    def _write(self) -> None:
        """Keep the totals; a disk that refuses costs a warning, and nodes go on reporting what is not kept."""
        self._wrote = _now()
        if not self.totals.changed:
            return
        try:
            store.save(self.data_dir, self.totals)
        except PulseError as error:
            log.warning("totals of traffic not written", extra={"error": str(error)})
            return
        self.totals.written()

    # Details: what people see

    async def _of_all(self) -> Stats:
        scribe = self.statements.roles.scribe
        if scribe is None:
            return self._alone("nobody is the scribe, who would sum the traffic of all nodes")
        if self._is_summing():
            return self._summed_by(self.me, self._fresh_rows())
        label = self.members.named(scribe)
        try:
            found = read_rows(await self.call(scribe, MethodName.STATS_SUMMED, b"", PATIENCE))
        except LinkError as error:
            return self._alone(f"{label} is the scribe, who sums the traffic of all nodes, and gave no answer: {error}")
        if found.whole:
            return self._summed_by(scribe, found.rows)
        return self._summed_by(
            scribe,
            found.rows,
            f"this node is no operator, and {label}, the scribe, tells it its own traffic alone.\n"
            f"Make it one, on the CA: pulse ca grant {self.me[:SHORT_ID]} operator",
        )

    def _fresh_rows(self) -> list[Row]:
        """Of all nodes, with this node's own counts as they are now."""
        told = self._told_to(self.me)
        report = self._made(self._own_row(), told)
        with suppress(Refused):
            self._take(self.me, report)
            told.seq, told.report, told.at = report.seq, report, _now()
        return self.totals.rows(clock.wall())

    def _alone(self, problem: str) -> Stats:
        label = self.members.label_of(self.me)
        return Stats("", label, False, problem, [self._shown(self._own_row())])

    def _summed_by(self, who: NodeId, rows: Iterable[Row], problem: str = "") -> Stats:
        shown = [self._shown(row) for row in rows]
        return Stats("", self.members.label_of(who), not problem, problem, shown)

    async def _asked_for_peers(self, node: NodeId) -> list[Row]:
        return read_rows(await self.call(node, MethodName.STATS_PEERS, b"", PATIENCE)).rows

    def _shown(self, row: Row) -> TrafficRow:
        node, counts = node_from_bytes(row.node), row.counts
        return TrafficRow(
            id=node,
            name=self.members.label_of(node),
            bytes_in=counts.bytes_in,
            bytes_out=counts.bytes_out,
            packets_in=counts.packets_in,
            packets_out=counts.packets_out,
            conns=counts.conns,
            active_conns=row.active,
            rate_in=row.rate_in,
            rate_out=row.rate_out,
            heard=row.heard,
        )


def _traffic(row: Row) -> Traffic:
    return Traffic(row.counts.bytes_in, row.counts.bytes_out, row.active, row.counts.conns)


def _now() -> float:
    return asyncio.get_running_loop().time()
