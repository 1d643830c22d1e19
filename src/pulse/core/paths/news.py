"""What the machines of paths tell each other: effects that the mesh hands on and the shell never sees.

Invariant: whatever news carries was verified by the machine that tells it.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from pulse.core.effects import Effect
from pulse.core.paths.graph import Graph
from pulse.core.paths.noderecord import NodeRecord
from pulse.core.trust.certificates import Certificate
from pulse.core.types import NodeId


@dataclass(frozen=True, slots=True)
class RecordAccepted:
    """A node's record took the place of the one we held, or is its first."""

    record: NodeRecord


@dataclass(frozen=True, slots=True)
class RecordForgotten:
    """We hold no record of that node any more: revoked, its certificate ended, or no room."""

    node: NodeId


@dataclass(frozen=True, slots=True)
class CertificateAccepted:
    """A verified certificate came by gossip, newer than any we held of its node."""

    certificate: Certificate


@dataclass(frozen=True, slots=True)
class OwnRecordSeen:
    """Somebody showed a record of our own key that we did not make, under numbers we have not passed."""

    boot: int
    seq: int
    same_numbers: bool
    """It bears the numbers of our newest record, and other bytes."""


@dataclass(frozen=True, slots=True)
class RecordMade:
    """A new version of our own record."""

    record: NodeRecord


@dataclass(frozen=True, slots=True)
class GraphChanged:
    """The graph is this from now on; whoever hears it keeps no hold of it."""

    graph: Graph


@dataclass(frozen=True, slots=True)
class NodeExpired:
    """No links have led to that node for long: it counts as gone."""

    node: NodeId


@dataclass(frozen=True, slots=True)
class NodeReturned:
    """Links lead to an expired node again."""

    node: NodeId


@dataclass(frozen=True, slots=True)
class RoutesChanged:
    """The routes are others from now on."""


@dataclass(frozen=True, slots=True)
class NodesWanted:
    """Keep links with these nodes and no more."""

    nodes: Mapping[NodeId, tuple[str, ...]]
    """Where each may be reached, best first; nowhere if it is behind a NAT."""
    others: frozenset[NodeId]
    """Nodes we know and have no need of: a link that is up may stay, none is made."""


@dataclass(frozen=True, slots=True)
class HoleOpened:
    """Probes go through between us and that node at `address`; we are the one who dials."""

    node: NodeId
    address: str
    attempt: int = 0
    """The one by birthday one of whose sockets is to be dialled from; 0 for the one we listen on."""


@dataclass(frozen=True, slots=True)
class NodeHeard:
    """A node that we have no link with is on a LAN of ours just now."""

    node: NodeId
    place: str
    """Where it may be dialled, `ip:port`."""


News = (
    RecordAccepted
    | RecordForgotten
    | CertificateAccepted
    | OwnRecordSeen
    | RecordMade
    | GraphChanged
    | NodeExpired
    | NodeReturned
    | RoutesChanged
    | NodesWanted
    | HoleOpened
    | NodeHeard
)
Outcome = Effect | News
"""What a machine that tells news returns."""
