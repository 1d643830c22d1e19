"""What the control API says and hears of a node itself: its identity, its status, its peers, a ping.

Fields are append-only, as in `pulse.schemas.structs`.
"""

from typing import Annotated

import msgspec

from pulse.core.types import LinkType
from pulse.schemas.pin import PinInfo
from pulse.schemas.structs import Body, View


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

    @property
    def reached(self) -> bool:
        """There is a path to it."""
        return self.link != LinkType.NONE


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
    in_force: bool = True
    """A network config is; before one came nothing may pass."""
    commit: str = ""
    """Of which the pulse that runs was built, with `+` if it had changes that no commit has; empty if unknown."""
    ranges_refused: list[str] = []
    """Approved ranges beyond the mesh that no exit carries now."""
    bypasses: list[str] = []
    """Routes of this machine by which packets for the Internet go past the exit in use."""


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
    stays: str = ""
    """What it set on the machine and leaves there, for others rely on it by now; what to do if it should not stay."""
    embedded: bool = False
    """The process is a program that the node lives in, and goes on: wait until the node answers no more."""
