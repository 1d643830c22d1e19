"""What the core can ask for: the only ways it reaches the world.

Machines return effects and never act; `services/mesh.py` performs them, the simulation records them.
"""

import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from pulse.core.types import NO_LINK, LinkId, NodeId

DEBUG, INFO, WARNING, ERROR = 10, 20, 30, 40
"""Severities, numbered as `logging` numbers them, which the core may not import."""


WEBSOCKET_AFTER = 0.25
"""Seconds by which QUIC goes ahead (RFC 8305 §5): where UDP gets through it has answered by then, or soon will."""


@dataclass(frozen=True, slots=True)
class Dial:
    """Try to link with whoever answers at `address` (`host:port`; names are resolved outside), over QUIC first."""

    attempt: int
    address: str
    expect: NodeId | None
    replaces: LinkId = NO_LINK
    """The link of ours that the new one takes over from; 0 for none."""
    websocket_after: float | None = WEBSOCKET_AFTER
    """Seconds after which a WebSocket is tried too; None for QUIC alone."""
    hole: int = 0
    """The attempt by birthday whose socket it leaves from; 0 for the one we listen on."""


@dataclass(frozen=True, slots=True)
class CloseLink:
    """End a link; the neighbour is told the reason in general words."""

    link: LinkId
    reason: str


@dataclass(frozen=True, slots=True)
class CloseSession:
    """End the session with a node, so that the next packet opens a new one."""

    node: NodeId
    reason: str


@dataclass(frozen=True, slots=True)
class SendMessage:
    """Send a control message to a neighbour."""

    link: LinkId
    payload: bytes


@dataclass(frozen=True, slots=True)
class Owner:
    """What lies behind a prefix, for the data plane's address table.

    Our own, where nothing comes or goes by it, is a range of the mesh itself: no other prefix holds what is in it.
    """

    prefix: str
    node: NodeId
    destination: bool = True
    source: bool = True


class Hop(NamedTuple):
    """One way towards a node, in the data plane's table of routes."""

    link: LinkId
    weight: int
    """Its share of the flows; 0 for a warm backup, used while all others are suspect."""
    last: bool = False
    """The neighbour must have a link of its own to the node, and send over that one or drop (header flag LAST)."""


class RangeUse(NamedTuple):
    """An approved range beyond the mesh, and the node through which it is reached."""

    prefix: str
    node: NodeId | None
    """None while no exit is healthy: what is sent there is refused."""


class RangeServed(NamedTuple):
    """An approved range that others reach through this node."""

    prefix: str
    behind: str
    """As it is behind this node; the same unless it is mapped."""


@dataclass(frozen=True, slots=True)
class TablesChanged:
    """The data plane's tables are these from now on."""

    routes: Mapping[ipaddress.IPv4Address, tuple[Hop, ...]]
    """Handle of a node to the ways that lead to it, best first."""
    owners: tuple[Owner, ...]
    ranges: tuple[RangeUse, ...] = ()
    served: tuple[RangeServed, ...] = ()


class RangesBehind(NamedTuple):
    """Ranges that lie behind nodes, on one side of a rule."""

    ranges: tuple[str, ...] = ()
    gateways: tuple[str, ...] = ()
    """Handles of the nodes that lead there: what relays go by, who cannot see the address of a packet."""


class PolicyRule(NamedTuple):
    """One rule as the data plane knows it; of several the first that matches decides."""

    allow: bool
    sources: tuple[str, ...] | None
    """Handles of the nodes it may come from; None for any."""
    destinations: tuple[str, ...] | None
    protocols: tuple[int, ...]
    """IP protocols; none for any."""
    ports: tuple[tuple[int, int], ...]
    """Destination ports, from and to; none for any."""
    redundant: bool = False
    """What it allows leaves over the two best ways at once."""
    id: str = ""
    """What people call it; flows are counted under it."""
    sources_behind: RangesBehind = RangesBehind()
    destinations_behind: RangesBehind = RangesBehind()


NOTHING: Final = PolicyRule(False, None, None, (), ())
"""The rule that lets nothing through."""


@dataclass(frozen=True, slots=True)
class PolicyChanged:
    """The data plane's rules are these from now on; none allows all."""

    rules: tuple[PolicyRule, ...]


@dataclass(frozen=True, slots=True)
class TrustChanged:
    """Revocations, authorities or the time floor changed: the data plane must be told."""


@dataclass(frozen=True, slots=True)
class StoreChain:
    """Keep the statements that say which CA keys count, as the exact bytes that were signed, in their order."""

    statements: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class StoreRoles:
    """Keep a roles object on disk, as the exact bytes that were signed."""

    epoch: int
    data: bytes


@dataclass(frozen=True, slots=True)
class StoreConfig:
    """Keep a network config on disk, as the exact bytes that were signed."""

    scribe_epoch: int
    generation: int
    data: bytes


@dataclass(frozen=True, slots=True)
class StoreRevocation:
    """Keep a revocation on disk, as the exact bytes that were signed; or none: it counts no more."""

    node: NodeId
    data: bytes | None


@dataclass(frozen=True, slots=True)
class StoreBoot:
    """Raise the boot count on disk to this one: what was announced under a lower one is void."""

    boot: int


@dataclass(frozen=True, slots=True)
class FetchConfig:
    """Ask a node for the network config it offered; `ConfigFetched` follows, whatever comes of it."""

    node: NodeId


@dataclass(frozen=True, slots=True)
class AskExit:
    """Ask a node over the session whether packets get out there; `ExitAnswered` follows, within so many seconds."""

    node: NodeId
    patience: float


@dataclass(frozen=True, slots=True)
class AskPunch:
    """Ask a node over the session to punch with us; `PunchAnswered` follows, whatever comes of it."""

    node: NodeId
    body: bytes


@dataclass(frozen=True, slots=True)
class AnswerPunch:
    """Answer a node that asked us to punch; None says no."""

    call: int
    body: bytes | None


@dataclass(frozen=True, slots=True)
class Attempt:
    """An attempt at a hole: its number, and the keys of what we send and of what comes."""

    number: int
    ours: bytes = field(repr=False)
    theirs: bytes = field(repr=False)
    by_birthday: bool = False
    """More probes may be sent, and from sockets of their own."""


@dataclass(frozen=True, slots=True)
class ExpectProbes:
    """These attempts are under way: probes of all others cause nothing."""

    attempts: tuple[Attempt, ...]


@dataclass(frozen=True, slots=True)
class SendProbe:
    """Send one probe of an attempt to `ip:port`."""

    address: str
    attempt: int


@dataclass(frozen=True, slots=True)
class SendProbesApart:
    """Send so many probes of an attempt by birthday to `ip:port`, each from the next of its sockets."""

    address: str
    attempt: int
    count: int


@dataclass(frozen=True, slots=True)
class SendBeacon:
    """Send this datagram to the beacons' group on every LAN."""

    data: bytes


@dataclass(frozen=True, slots=True)
class StorePeers:
    """The table of known peers changed; write it when convenient."""


@dataclass(frozen=True, slots=True)
class Log:
    """A line for the log; addresses and names only at DEBUG."""

    event: str
    level: int = INFO
    fields: Mapping[str, object] = field(default_factory=dict)


Punching = AskPunch | AnswerPunch | ExpectProbes | SendProbe | SendProbesApart
Store = StoreChain | StoreRoles | StoreConfig | StoreRevocation | StoreBoot
Effect = (
    Dial
    | CloseLink
    | CloseSession
    | SendMessage
    | TablesChanged
    | PolicyChanged
    | TrustChanged
    | Store
    | StorePeers
    | FetchConfig
    | AskExit
    | Punching
    | SendBeacon
    | Log
)
