"""Traffic by node, over what the nodes of a mesh say that they counted (`tally`)."""

from collections.abc import Iterable
from typing import Annotated, Final

import msgspec

from pulse.core.messages import RPC_LIMIT, U32, U53, MethodName, Time, Wire, unpack
from pulse.core.network.netconfig import NODES_LIMIT
from pulse.core.network.tally import MOST, Gauge, Kind, Tally
from pulse.core.trust.identity import node_bytes
from pulse.core.types import Digest, NodeId

FASTEST: Final = 125 * 10**9
"""Bytes, packets or connections a second that a node may count: 1 Tbit/s, more than any data plane moves."""

TRAFFIC: Final = Kind("traffic", MethodName.STATS, MethodName.STATS_SUMMED, fastest=FASTEST, at_first=10**14)

FRESH: Final = 30.0
"""Seconds for which a node's word about its rates holds: three reports."""

IDLE: Final = 150.0
"""The same where it said that nothing moves: it says that once a minute."""

ACTIVE, RATE_IN, RATE_OUT = "active", "rate_in", "rate_out"
"""What a node says beside its counts: connections that are open now, and bytes a second of late, by its own clock."""


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
        pairs = zip(msgspec.structs.astuple(self), msgspec.structs.astuple(other), strict=True)
        return Counts(*(min(MOST, one + two) for one, two in pairs))

    def counters(self) -> dict[str, int]:
        """Those that are not 0, by name."""
        return {name: count for name, count in msgspec.structs.asdict(self).items() if count}


NOTHING: Final = Counts()

COUNTERS: Final = frozenset(Counts.__struct_fields__)


class Row(Wire, frozen=True):
    """What one node counted, or was counted of one peer."""

    node: Digest
    counts: Counts
    active: U32 = 0
    rate_in: Gauge | None = None
    """Bytes a second; None if it is not known for now."""
    rate_out: Gauge | None = None
    heard: Time | None = None
    """When the scribe last heard of it; None where it counted itself."""

    def gauges(self) -> dict[str, float]:
        """What is so now, as it is reported."""
        return {ACTIVE: self.active, RATE_IN: self.rate_in or 0.0, RATE_OUT: self.rate_out or 0.0}


class Rows(Wire, frozen=True):
    """The answer to `stats.get` and `stats.peers`."""

    rows: Annotated[list[Row], msgspec.Meta(max_length=NODES_LIMIT)]
    whole: bool = True
    """All there is; False if the caller is told of itself alone."""


_rows = msgspec.msgpack.Decoder(Rows)


def read_rows(data: bytes) -> Rows:
    """Rows in their bytes; raises ProtocolError."""
    return unpack(_rows, data, "traffic", RPC_LIMIT)


def row(tally: Tally, node: NodeId, wall: float) -> Row:
    """What one node counted."""
    life = tally.lives.get(node)
    if life is None:
        return Row(node_bytes(node), NOTHING)
    counts = Counts(**life.totals())
    if life.gauges is None:
        return Row(node_bytes(node), counts, heard=life.heard)
    came, went = (min(life.gauges.get(name, 0.0), FASTEST) for name in (RATE_IN, RATE_OUT))
    if wall - life.heard > (FRESH if came or went else IDLE):
        return Row(node_bytes(node), counts, heard=life.heard)
    active = min(int(life.gauges.get(ACTIVE, 0)), 2**32 - 1)
    return Row(node_bytes(node), counts, active, came, went, life.heard)


def rows(tally: Tally, wall: float) -> list[Row]:
    """What each node counted, the one that moved most first."""
    return most_first(row(tally, node, wall) for node in tally.lives)


def most_first(found: Iterable[Row]) -> list[Row]:
    """The one that moved most first."""
    return sorted(found, key=lambda each: (-each.counts.bytes_in - each.counts.bytes_out, each.node))


def together(counts: Iterable[Counts]) -> Counts:
    """The sum of all."""
    total = NOTHING
    for each in counts:
        total = total.plus(each)
    return total
