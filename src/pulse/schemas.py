"""What the control API says and hears: shared by the API and its client.

Fields are append-only; times are seconds since 1970, durations seconds; ids are 64 hex digits.
"""

from typing import Annotated, Literal

import msgspec

Count = Annotated[int, msgspec.Meta(ge=0, le=1_000_000)]
NodeText = Annotated[str, msgspec.Meta(max_length=255)]


class Body(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Base of what is heard: unknown fields are errors."""


class View(msgspec.Struct, frozen=True):
    """Base of what is said: a later release may say more."""


class Problem(View, frozen=True):
    """An error (RFC 9457); `error` is the name of its class in `pulse.errors`."""

    title: str
    status: int
    detail: str
    error: str = "PulseError"
    type: str = "about:blank"


class NodeIdentity(View, frozen=True):
    """Who this node is."""

    id: str
    name: str
    network: str
    ca_hash: str
    v4: str
    v6: str
    roles: list[str]
    tags: list[str] = []


class CertificateInfo(View, frozen=True):
    """This node's certificate."""

    id: str
    name: str
    tags: list[str]
    addresses: list[str]
    serial: str
    not_before: float
    not_after: float
    left: float
    """Seconds until it ends; negative if it ended."""
    ca_hash: str
    pinned: bool
    """True if the CA was checked against an invite or token at join."""
    ca_rotating: bool = False
    superseded: bool = False
    """It is not under the CA's newest key, and will be renewed for that."""


class PinInfo(View, frozen=True):
    """How a node is pinned; `via` is empty if it is not any more."""

    id: str
    name: str
    via: str
    via_id: str
    direct: bool
    """`via` is the node itself."""
    followed: bool
    problem: str
    """Why the pin is not followed at present; empty if it is."""


class FecInfo(View, frozen=True):
    """How packets exchanged with a node are protected against loss; counts since the node started."""

    parity: int
    """Parity packets over 20 records on the way there now; 0 while nothing gets lost."""
    duplicate: bool
    """All goes over a second path, too."""
    parity_out: int
    parity_in: int
    repaired: int
    """Packets that were lost on the way here and repaired."""
    unrepairable: int
    """Packets that were lost on the way here, too many at a time."""


class PeerRow(View, frozen=True):
    """One other node, as the status shows it."""

    id: str
    name: str
    v4: str
    v6: str
    roles: list[str]
    link: str
    """Type of the first link of the path: `quic`, `direct_quic`, `websocket`; `-` while there is no path."""
    via: str
    """Name of the first relay on the way, or empty."""
    rtt: float | None
    jitter: float | None
    loss: float | None
    suspect: bool
    seen: float | None
    """Seconds since there last was a path to it; 0 for now, None for not yet in this run."""
    address: str
    """Where its link leads, or where it was tried."""
    last_error: str
    bytes_in: int
    bytes_out: int
    tags: list[str] = []
    hops: int = 0
    """Links on the way to it; 0 while there is no path."""
    boot: int = 0
    """Its boot count, as the newest record of it that came here says; 0 before one came."""
    pinned: PinInfo | None = None
    """To which way a person pinned it, and whether that is the one in use."""
    mtu: int = 0
    """Bytes of the longest packet that goes to it whole over the path in use; 0 while there is no path."""
    lan: bool = False
    """It was heard on a LAN of this machine lately."""
    fec: FecInfo | None = None
    """None if this node was started without `--fec`."""
    path: list[str] = []
    """Ids of all nodes on the way, the last one included; empty while there is no path."""
    version: str = ""
    """Of its software, as the newest record of it says; empty before one came."""


class PortMapping(View, frozen=True):
    """A port that the router passes on to this node."""

    protocol: str
    """By which it was asked for: `pcp`, `nat-pmp` or `upnp`."""
    address: str
    """`ip:port` outside."""
    until: float
    """When it ends, unless it is renewed, which happens in time."""
    tcp: bool
    """TCP at the same port is passed on too."""


class Status(View, frozen=True):
    """The mesh as this node sees it."""

    well: bool
    sentence: str
    node: NodeIdentity
    version: str
    uptime: float
    listen: str
    tun: str
    """Name of the TUN device, or empty."""
    certificate_left: float
    peers: list[PeerRow]
    drops: dict[str, int]
    rule_hits: dict[str, int] = {}
    """Flows that each rule decided on at this node, by its id; rules of the past are there too."""
    rule_misses: int = 0
    """Flows that no rule matched, so denied."""
    gossip: dict[str, int] = {}
    """Node records held, and what gossip did not take, by name."""
    portmap: PortMapping | None = None
    beacons: dict[str, int] = {}
    """Nodes on the LANs of this machine, and what came of the datagrams there, by name."""
    ca_rotating: bool = False


class TokenRequest(Body, frozen=True):
    """A token to make; `ttl` in seconds, none for ever; `max_uses` 0 for no limit."""

    ttl: float | None = None
    max_uses: Count = 0
    tags: Annotated[list[str], msgspec.Meta(max_length=32)] = []
    name: str | None = None
    template: NodeText | None = None
    """A template, which fills in what is not said; its tags come on top."""


class TokenInfo(View, frozen=True):
    """A token as the CA knows it: everything but its secret."""

    id: str
    created: float
    expires: float | None
    max_uses: int
    uses: int
    tags: list[str]
    name: str | None
    master: bool
    state: str
    """`good`, `expired`, `used_up` or `revoked`."""
    used_by: list[str] = []
    """Names of the nodes that joined with it, the latest 64."""


class TokenCreated(View, frozen=True):
    """A new token; the text is shown this once."""

    token: str
    info: TokenInfo


class MasterToken(View, frozen=True):
    """The token this CA accepts for any machine, any time."""

    token: str


class Invite(View, frozen=True):
    """A line to paste on the next machine."""

    invite: str
    addresses: list[str]
    info: TokenInfo


class JournalEntry(View, frozen=True):
    """One entry of the CA's journal."""

    seq: int
    time: float
    event: str
    fields: dict[str, str | int | float | None]


class JournalQuery(Body, frozen=True):
    """Which entries of the journal: at most `limit` after number `after`, oldest first."""

    after: Annotated[int, msgspec.Meta(ge=0)] = 0
    limit: Annotated[int, msgspec.Meta(ge=1, le=1000)] = 100


class JournalCheck(View, frozen=True):
    """What walking the journal's hash chain found; `broken` is the first bad entry."""

    entries: int
    broken: int | None
    reason: str
    time: float | None = None
    """When the last good entry before it was written; None if it is the first."""


class NameRequest(Body, frozen=True):
    """A name for a node, which may be given by name, mesh address or the first digits of its id."""

    node_id: NodeText
    name: NodeText


class TagRequest(Body, frozen=True):
    """A tag for a node, or one to take from it."""

    node_id: NodeText
    tag: NodeText


class NodeNaming(View, frozen=True):
    """What the network config calls a node from now on."""

    id: str
    name: str
    tags: list[str]
    version: str
    """Of the network config: scribe epoch and generation, with a dot between."""


GivenRole = Literal["scribe", "operator"]
"""What the CA can make of a node: the values of `core.trust.roles.Role`."""


class RoleRequest(Body, frozen=True):
    """A role for a node, or one to take from it."""

    node_id: NodeText
    role: GivenRole
    force: bool = False
    """Even if the CA may not know the last words of the scribe that is replaced."""
    reinstate: Annotated[list[NodeText], msgspec.Meta(max_length=1_000)] = []
    """Nodes, by the first digits of their ids, whose revocation by the scribe that is replaced shall count no more."""
    keep_revoked: bool = False
    """All of them stay out."""


class NodeRole(View, frozen=True):
    """A node with a role: `ca`, `scribe` or `operator`."""

    id: str
    name: str
    role: str
    problem: str
    """Why it cannot use it; empty if it can."""


class RolesInfo(View, frozen=True):
    """Who has which role."""

    epoch: int
    """Rises with each change."""
    scribe_epoch: int
    """Rises with each new scribe."""
    roles: list[NodeRole]
    revoked_by_scribe: list["Revoked"] = []
    """Nodes that the scribe in force revoked, which the CA has not made its own word yet."""


class PinRequest(Body, frozen=True):
    """A node to pin, and to what: a neighbour, or its own link. Nodes in any of their words."""

    node_id: NodeText
    via: NodeText = ""
    direct: bool = False


class UnpinRequest(Body, frozen=True):
    """A node whose pin is to be taken back."""

    node_id: NodeText


class RevokeRequest(Body, frozen=True):
    """A node to shut out for good."""

    node_id: NodeText
    force: bool = False
    """Even if it is the last CA or scribe."""


class Revoked(View, frozen=True):
    """A node nobody talks to any more."""

    id: str
    name: str
    by: str
    """Whose word it is: `ca` or `scribe`."""


class PingRequest(Body, frozen=True):
    """Ask a node over its session and measure."""

    node: str
    timeout: Annotated[float, msgspec.Meta(gt=0, le=60)] = 5.0


class PingReply(View, frozen=True):
    """One answer."""

    id: str
    name: str
    v4: str
    rtt: float
    link: str
    via: str


class Stopping(View, frozen=True):
    """The node takes its leave; the process to wait for."""

    pid: int
