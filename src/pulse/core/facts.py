"""What can happen to a mesh: the only ways the world reaches the core.

Each fact is told once, in the past tense, by the shell (`services`) or by the simulation.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from pulse.core.types import LinkId, NodeId


@dataclass(frozen=True, slots=True)
class PeerHello:
    """What a neighbour said of itself when the link came up."""

    version: int
    boot: bytes
    """16 random bytes: another value means another run of that node."""
    clock: float
    """Its wall clock, in seconds since 1970."""
    revocations: bytes
    """Hash of the revocations it holds."""
    features: int


@dataclass(frozen=True, slots=True)
class LinkUp:
    """A verified neighbour: certificates and hellos are exchanged both ways."""

    link: LinkId
    dial: int
    """The dial that made it; 0 if the neighbour dialled us."""
    node: NodeId
    certificate: bytes
    transport: str
    observed: str
    """`host:port` where we see the neighbour."""
    hello: PeerHello


@dataclass(frozen=True, slots=True)
class LinkDown:
    """A link ended, whoever ended it."""

    link: LinkId
    node: NodeId
    reason: str


@dataclass(frozen=True, slots=True)
class LinkSuspect:
    """Three echoes in a row went missing on a link, or they are back."""

    link: LinkId
    node: NodeId
    suspect: bool


@dataclass(frozen=True, slots=True)
class LinkMoved:
    """A neighbour is seen at another address by now: what we send it goes there."""

    link: LinkId
    node: NodeId
    observed: str
    """`ip:port` where we see it."""


@dataclass(frozen=True, slots=True)
class DialFailed:
    """A dial ended without a link; `code` is one word, `detail` is for people."""

    dial: int
    code: str
    detail: str


@dataclass(frozen=True, slots=True)
class MessageReceived:
    """A control message of a neighbour, not decoded yet."""

    link: LinkId
    payload: bytes


@dataclass(frozen=True, slots=True)
class SessionUp:
    """An end-to-end session with a node is up."""

    node: NodeId


@dataclass(frozen=True, slots=True)
class SessionDown:
    """An end-to-end session with a node ended."""

    node: NodeId
    reason: str


@dataclass(frozen=True, slots=True)
class PeerWanted:
    """Traffic for a node after 60 s of none."""

    node: NodeId


@dataclass(frozen=True, slots=True)
class NoRoute:
    """Traffic for a node that no link leads to."""

    node: NodeId


@dataclass(frozen=True, slots=True)
class FlowDenied:
    """Our own rules let a flow of this machine go no further; told once a second at most."""

    node: NodeId
    """Whom it was for."""
    rule: str
    """The id of the rule that denies it; empty if none matched."""
    protocol: int
    port: int
    """0 for a protocol without."""
    others: int
    """Flows denied since this was last told, beside this one."""


@dataclass(frozen=True, slots=True)
class LinkSample:
    """Figures of one link as the data plane measured them; times in seconds, loss from 0 to 1."""

    link: LinkId
    rtt: float | None
    jitter: float
    loss: float


@dataclass(frozen=True, slots=True)
class LinksSampled:
    """One reading of the figures of all links."""

    samples: tuple[LinkSample, ...]


@dataclass(frozen=True, slots=True)
class PathSuspected:
    """A path, named by its node and our first link of it, stopped carrying what is sent on it, or does again."""

    node: NodeId
    link: LinkId
    suspect: bool


@dataclass(frozen=True, slots=True)
class PinsChanged:
    """A person pinned nodes or took pins back, or an earlier run's pins are back: these are all."""

    vias: Mapping[NodeId, NodeId]
    """Each pinned node, and the neighbour to reach it by: the node itself for our own link to it."""


@dataclass(frozen=True, slots=True)
class ConfigFetched:
    """What a node answered when it was asked for the network config; None if it did not answer."""

    node: NodeId
    data: bytes | None


@dataclass(frozen=True, slots=True)
class PunchAsked:
    """A node asks us to punch with it; `AnswerPunch` with this number answers."""

    call: int
    node: NodeId
    body: bytes


@dataclass(frozen=True, slots=True)
class PunchAnswered:
    """What a node answered when it was asked to punch; None and the reason if it did not."""

    node: NodeId
    body: bytes | None
    error: str = ""


@dataclass(frozen=True, slots=True)
class ProbeReceived:
    """A probe of an attempt of ours came from `source` (`ip:port`): the node's own, or its echo of one of ours."""

    attempt: int
    source: str
    echo: bool


@dataclass(frozen=True, slots=True)
class RelaysPublished:
    """A domain says that the relays of the mesh are at these places, `host:port` each, and no others of it."""

    relays: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class AddressesChanged:
    """An address or a route of this machine changed."""

    candidates: tuple[str, ...] = ()
    """Where others may reach us from now on, `ip:port` each, best first; what neighbours see comes beside it."""


@dataclass(frozen=True, slots=True)
class PortMapped:
    """The router passes on to us what comes to `address` (`ip:port`) outside; None: it does no more."""

    address: str | None


@dataclass(frozen=True, slots=True)
class SourcesChanged:
    """What we send over these links leaves from another address of this machine by now, or finds no route."""

    links: tuple[LinkId, ...]


@dataclass(frozen=True, slots=True)
class Woke:
    """This machine slept, or this program stood still, for so many seconds: neighbours may have given us up."""

    seconds: float


@dataclass(frozen=True, slots=True)
class IdentityRenewed:
    """The CA gave us our next certificate, in DER; it was checked, is on disk, and handshakes show it already."""

    certificate: bytes


@dataclass(frozen=True, slots=True)
class ChainShown:
    """Statements that say which CA keys count, in their order: of the CA here, of an answer, or of a join lane.

    None of them is news to be blamed on anybody: what does not fit is left out.
    """

    statements: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class ClockCompared:
    """A neighbour told the time by its wall clock as its link came up: ours was so many seconds ahead."""

    link: LinkId
    offset: float


@dataclass(frozen=True, slots=True)
class ClockRead:
    """The wall clock was read, in seconds since 1970: at start and once a minute."""

    wall: float


@dataclass(frozen=True, slots=True)
class ExitAnswered:
    """An exit said that it is well; or it did not in time, or said that it is not."""

    node: NodeId
    well: bool
    shut: tuple[str, ...] = ()
    """Ranges that lead nowhere behind one that is well else."""


@dataclass(frozen=True, slots=True)
class LansChanged:
    """Beacons go out to so many LANs from now on, and come in from them; 0 for none."""

    count: int
    port: int
    """Where this node takes in links."""


@dataclass(frozen=True, slots=True)
class BeaconHeard:
    """A datagram came to the beacons' group on a LAN."""

    data: bytes
    source: str
    """The IP address it came from, a link-local one with the number of our interface: `fe80::1%3`."""
    on_link: bool
    """That address is inside the LAN's own subnet, and not ours."""


Fact = (
    LinkUp
    | LinkDown
    | LinkSuspect
    | LinkMoved
    | DialFailed
    | MessageReceived
    | SessionUp
    | SessionDown
    | PeerWanted
    | NoRoute
    | FlowDenied
    | LinksSampled
    | PathSuspected
    | PinsChanged
    | ConfigFetched
    | PunchAsked
    | PunchAnswered
    | ProbeReceived
    | RelaysPublished
    | AddressesChanged
    | PortMapped
    | SourcesChanged
    | Woke
    | IdentityRenewed
    | ChainShown
    | ClockCompared
    | ClockRead
    | LansChanged
    | ExitAnswered
    | BeaconHeard
)
