"""What can be asked of a node: one resource a field, under the name of the file here that asks it.

Invariant: a resource is a service of `pulse.services`, or stands for one elsewhere; every method may raise PulseError.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from pulse.api.governance import (
    Acls,
    Bulk,
    CaLog,
    HitCounts,
    Keys,
    Names,
    Revoker,
    Roles,
    Rotation,
    Routes,
    TemplateStore,
    Tokens,
    WholeConfig,
    WholeFile,
    ZoneStore,
)
from pulse.schemas.cert import FleetCertificate
from pulse.schemas.events import Events, EventsQuery, Moment, MomentQuery
from pulse.schemas.journal import JournalCheck
from pulse.schemas.node import CertificateInfo, NodeIdentity, PingReply, PingRequest, Stopping
from pulse.schemas.operating import Checkup, Reloaded, RemoteSettings, Restarting, RestartRequest
from pulse.schemas.paths import Trace, TraceRequest, Why, WhyRequest
from pulse.schemas.pin import PinInfo, PinRequest, UnpinRequest
from pulse.schemas.resolver import ResolverInfo
from pulse.schemas.scribe import MeshState
from pulse.schemas.stats import Family, Samples, Stats, StatsQuery
from pulse.schemas.topology import Topology
from pulse.schemas.whereabouts import Found, HostQuery


class Node(Protocol):
    """This node, and what it sees."""

    async def identity(self) -> NodeIdentity:
        """Who this node is."""
        ...

    async def certificate(self) -> CertificateInfo:
        """This node's certificate."""
        ...

    async def certificates(self) -> list[FleetCertificate]:
        """The certificates of all nodes known here, the one that ends first first."""
        ...

    async def status(self) -> MeshState:
        """The mesh as this node sees it."""
        ...

    async def ping(self, wanted: PingRequest) -> PingReply:
        """Ask another node and measure."""
        ...

    async def stop(self) -> Stopping:
        """Take leave."""
        ...


class Topologies(Protocol):
    """Who tells which links there are."""

    async def topology(self) -> Topology:
        """The links of the mesh."""
        ...


class Tracer(Protocol):
    """Who finds the way frames take."""

    async def trace(self, wanted: TraceRequest) -> Trace:
        """Find the way to another node."""
        ...


class Explainer(Protocol):
    """Who says why a path is what it is."""

    async def why(self, wanted: WhyRequest) -> Why:
        """Say why another node is reached as it is."""
        ...


class Whereabouts(Protocol):
    """Who knows where hosts are."""

    async def find(self, wanted: HostQuery) -> Found:
        """Say at which node a host is."""
        ...


class Pins(Protocol):
    """Which nodes are reached by a way of our choice."""

    async def pin(self, wanted: PinRequest) -> PinInfo:
        """Reach a node by one neighbour."""
        ...

    async def unpin(self, wanted: UnpinRequest) -> PinInfo:
        """Reach a node by the best path again."""
        ...


class History(Protocol):
    """This node's journal."""

    async def events(self, wanted: EventsQuery) -> Events:
        """Entries of it."""
        ...

    async def verify(self) -> JournalCheck:
        """Walk its hash chain."""
        ...

    async def at(self, wanted: MomentQuery) -> Moment:
        """The mesh as it was at a time."""
        ...


class Doctor(Protocol):
    """Who tells of this node's own state."""

    async def checkup(self) -> Checkup:
        """What `pulse doctor` asks."""
        ...


class Reloader(Protocol):
    """Who reads this node's settings."""

    async def reload(self) -> Reloaded:
        """Read them again."""
        ...


class Remote(Protocol):
    """What is asked of other nodes as their operator, and restarts of this one."""

    async def restart(self, wanted: RestartRequest) -> Restarting:
        """Restart a node."""
        ...

    async def configure(self, wanted: RemoteSettings) -> Reloaded:
        """Change settings of another node."""
        ...


class StatsTold(Protocol):
    """Who tells of traffic."""

    async def stats(self, wanted: StatsQuery) -> Stats:
        """Traffic by node, or of one node by peer."""
        ...


class MetricsTold(Protocol):
    """Who tells metrics."""

    async def metrics(self) -> Mapping[Family, Samples]:
        """Every family there is, with its samples now."""
        ...


class Resolver(Protocol):
    """Who tells this machine's resolver of the node."""

    async def state(self) -> ResolverInfo:
        """How it is now."""
        ...

    async def set_up(self) -> ResolverInfo:
        """Tell it, now and at every start."""
        ...

    async def take_back(self) -> ResolverInfo:
        """Leave it as it was before."""
        ...


@dataclass(frozen=True)
class Control:
    """All that one node can be asked for."""

    node: Node
    topology: Topologies
    trace: Tracer
    why: Explainer
    pins: Pins
    tokens: Tokens
    templates: TemplateStore
    config: WholeConfig
    configfile: WholeFile
    names: Names
    dns: ZoneStore
    acls: Acls
    hits: HitCounts
    bulk: Bulk
    roles: Roles
    revoke: Revoker
    ca: CaLog
    rotation: Rotation
    events: History
    stats: StatsTold
    metrics: MetricsTold
    apikeys: Keys
    resolver: Resolver
    doctor: Doctor
    reload: Reloader
    remote: Remote
    routes: Routes
    whereabouts: Whereabouts
