"""Traffic that nodes exchange, of this node by peer and of all by node: counted by nodes, summed by the scribe."""

import asyncio
import secrets
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, field
from typing import Protocol

from msgspec.structs import replace

from pulse import clock
from pulse.core.messages import MethodName, pack
from pulse.core.meter import Meter
from pulse.core.network.reporter import Reporter
from pulse.core.network.statements import Statements
from pulse.core.network.tally import Tally
from pulse.core.stats import COUNTERS, NOTHING, Counts, Row, Rows, most_first, read_rows, row, rows, together
from pulse.core.trust.identity import node_bytes, node_from_bytes
from pulse.core.trust.members import Members
from pulse.core.trust.roles import no_operator
from pulse.core.types import NodeId
from pulse.errors import LinkError
from pulse.net.links import CLIENT_PATIENCE, PeerTraffic, Rpc
from pulse.schemas.stats import Stats, StatsQuery, Traffic, TrafficRow

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
class StatsService:
    """One node as it counts, and, while the roles name it, as the scribe that sums."""

    me: NodeId
    statements: Statements
    members: Members
    ca_nodes: Callable[[], frozenset[NodeId]]
    counted: Callable[[], Iterable[PeerTraffic]]
    """By the data plane, since it started."""
    call: Rpc
    tally: Tally
    connections: Collection[Connections] = ()
    """What else counts, beside the packets."""
    refresh: Callable[[], None] = lambda: None
    """Brings the sums up to now, on the scribe."""
    reporter: Reporter = field(default_factory=lambda: Reporter(secrets.token_bytes(16)))
    _meter: Meter = field(default_factory=Meter, init=False)

    def look(self) -> None:
        """Time has passed since the last look: rates are taken from here."""
        self._meter.looked(self._peers(), _now())

    # What is reported and summed

    def names(self) -> frozenset[str]:
        """What is counted."""
        return COUNTERS

    def counts(self) -> dict[str, int]:
        """What this node exchanged with all others."""
        return together(self._peers().values()).counters()

    def gauges(self) -> dict[str, float]:
        """How fast, and how many connections are open."""
        return self._own_row().gauges()

    def told(self, caller: NodeId) -> bytes:
        """The answer to `stats.get`: all to who may edit, to others their own."""
        if self._may_know(caller):
            return pack(Rows(rows(self.tally, clock.wall())))
        return pack(Rows([row(self.tally, caller, clock.wall())], whole=False))

    # Asked by other nodes

    async def by_peer(self, caller: NodeId, _: bytes) -> bytes:
        """The RPC `stats.peers`, on any node, for who may edit: it tells who talks to whom. Raises Refused."""
        so = "and is told its own traffic alone: pulse stats"
        self.statements.roles.check_editor(caller, self.ca_nodes(), self.members.named(caller), so)
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
        found = self._rows_by_peer() if node == self.me else await self._asked_for_peers(node)
        label, shown = self.members.label_of(node), map(self._shown, found)
        named = [replace(each, name=CONNECTIONS) if each.id == node else each for each in shown]
        return Stats(label, label, True, "", named)

    def by_node(self) -> dict[str, Traffic]:
        """What each node exchanged, by its id: of all at the scribe; elsewhere of this node since it started."""
        if not self.statements.is_summed_by(self.me):
            return {self.me: _traffic(self._own_row())}
        return {node_from_bytes(each.node): _traffic(each) for each in self._fresh_rows()}

    # Details: what this node counted

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
        return most_first(
            Row(node_bytes(node), counts, self._active() if node == self.me else 0, *rates.get(node, (None, None)))
            for node, counts in peers.items()
            if counts != NOTHING
        )

    def _active(self) -> int:
        return sum(each.active for each in self.connections)

    def _may_know(self, caller: NodeId) -> bool:
        return self.statements.roles.may_edit(caller, self.ca_nodes())

    # Details: what people see

    async def _of_all(self) -> Stats:
        scribe = self.statements.roles.scribe
        if scribe is None:
            return self._alone("nobody is the scribe, who would sum the traffic of all nodes")
        if self.statements.is_summed_by(self.me):
            return self._summed_by(self.me, self._fresh_rows())
        label = self.members.named(scribe)
        try:
            found = read_rows(await self.call(scribe, MethodName.STATS_SUMMED, b"", CLIENT_PATIENCE))
        except LinkError as error:
            return self._alone(f"{label} is the scribe, who sums the traffic of all nodes, and gave no answer: {error}")
        if found.whole:
            return self._summed_by(scribe, found.rows)
        return self._summed_by(
            scribe,
            found.rows,
            no_operator(self.me, "this node", f"and {label}, the scribe, tells it its own traffic alone."),
        )

    def _fresh_rows(self) -> list[Row]:
        """Of all nodes, with this node's own counts as they are now."""
        self.refresh()
        return rows(self.tally, clock.wall())

    def _alone(self, problem: str) -> Stats:
        label = self.members.label_of(self.me)
        return Stats("", label, False, problem, [self._shown(self._own_row())])

    def _summed_by(self, who: NodeId, found: Iterable[Row], problem: str = "") -> Stats:
        shown = [self._shown(each) for each in found]
        return Stats("", self.members.label_of(who), not problem, problem, shown)

    async def _asked_for_peers(self, node: NodeId) -> list[Row]:
        return read_rows(await self.call(node, MethodName.STATS_PEERS, b"", CLIENT_PATIENCE)).rows

    def _shown(self, found: Row) -> TrafficRow:
        node, counts = node_from_bytes(found.node), found.counts
        return TrafficRow(
            id=node,
            name=self.members.label_of(node),
            bytes_in=counts.bytes_in,
            bytes_out=counts.bytes_out,
            packets_in=counts.packets_in,
            packets_out=counts.packets_out,
            conns=counts.conns,
            active_conns=found.active,
            rate_in=found.rate_in,
            rate_out=found.rate_out,
            heard=found.heard,
        )


def _traffic(found: Row) -> Traffic:
    return Traffic(found.counts.bytes_in, found.counts.bytes_out, found.active, found.counts.conns)


def _now() -> float:
    return asyncio.get_running_loop().time()
