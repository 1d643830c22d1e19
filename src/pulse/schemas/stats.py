"""What the HTTP API says and hears of traffic, and what metrics are made of.

Fields are append-only, as in `pulse.schemas.structs`. Bytes are those of IP packets and of connections over the mesh.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from pulse.schemas.structs import Body, NodeText, View


class StatsQuery(Body, frozen=True):
    """Whose traffic: a node's with each of its peers; of all nodes if it is left out."""

    node: NodeText = ""


class TrafficRow(View, frozen=True):
    """What one node exchanged with all others, or with one."""

    id: str
    name: str
    bytes_in: int
    bytes_out: int
    packets_in: int
    packets_out: int
    conns: int
    """Connections that were opened, both ways: SOCKS, forwards, tunnels."""
    active_conns: int
    """Those that are open now."""
    rate_in: float | None
    """Bytes a second of late; None if that is not known."""
    rate_out: float | None
    heard: float | None = None
    """When the scribe last heard of it; None where it was counted on this very node."""


class Stats(View, frozen=True):
    """Traffic by node, or of one node by peer."""

    of: str
    """The node whose peers `rows` are; empty if they are the nodes of the mesh."""
    told_by: str
    """Who summed it, or counted it."""
    whole: bool
    """All nodes are there; if not `problem` says why."""
    problem: str
    rows: list[TrafficRow]


@dataclass(frozen=True, slots=True)
class Family:
    """A metric as the text format has it: what its samples have in common."""

    name: str
    kind: str
    """`gauge` or `counter`."""
    help: str
    labels: tuple[str, ...] = ()


Samples = Mapping[tuple[str, ...], float]
"""Values by those of the labels, in the order in which the family names them."""


class Traffic(View, frozen=True):
    """What a node exchanged with all others over the mesh."""

    bytes_in: int
    bytes_out: int
    active_conns: int = 0
    """Connections of SOCKS, forwards and tunnels that are open now."""
    conns: int = 0
    """All that were opened."""
