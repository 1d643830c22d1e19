"""What can be asked of a node: one resource a field, under the name of the file here that asks it.

Invariant: a resource is a service of `pulse.services`, or stands for one elsewhere; every method may raise PulseError.
"""

from dataclasses import dataclass
from typing import Any, Protocol

from pulse.schemas.cert import FleetCertificate, Rotation
from pulse.schemas.config import TemplateStore, WholeFile
from pulse.schemas.dns import ZoneStore
from pulse.schemas.events import Events, EventsQuery, Moment, MomentQuery
from pulse.schemas.journal import JournalCheck, JournalEntry
from pulse.schemas.names import NameRequest, NodeNaming, TagRequest
from pulse.schemas.node import CertificateInfo, NodeIdentity, PingReply, PingRequest, Stopping
from pulse.schemas.operating import Checkup, Reloaded, RemoteSettings, Restarting, RestartRequest
from pulse.schemas.paths import Trace, TraceRequest, Why, WhyRequest
from pulse.schemas.pin import PinInfo, PinRequest, UnpinRequest
from pulse.schemas.policy import Acls, HitCounts
from pulse.schemas.resolver import Resolver
from pulse.schemas.revoke import Revoked, RevokeRequest
from pulse.schemas.roles import RoleRequest, RolesInfo
from pulse.schemas.routes import Routes
from pulse.schemas.scribe import ApiKeyCreated, ApiKeyInfo, ApiKeyRequest, Bulk, MeshState
from pulse.schemas.stats import MetricsTold, StatsTold
from pulse.schemas.tokens import Invite, MasterToken, TokenCreated, TokenInfo, TokenRequest


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


class Pins(Protocol):
    """Which nodes are reached by a way of our choice."""

    async def pin(self, wanted: PinRequest) -> PinInfo:
        """Reach a node by one neighbour."""
        ...

    async def unpin(self, wanted: UnpinRequest) -> PinInfo:
        """Reach a node by the best path again."""
        ...


class Tokens(Protocol):
    """Join tokens, where they are kept."""

    async def create(self, wanted: TokenRequest) -> TokenCreated:
        """Make one."""
        ...

    async def invite(self, wanted: TokenRequest) -> Invite:
        """Make a line to paste on the next machine."""
        ...

    async def all(self) -> list[TokenInfo]:
        """Every token, oldest first."""
        ...

    async def revoke(self, prefix: str) -> TokenInfo:
        """End one."""
        ...

    async def master(self) -> MasterToken:
        """The token this CA always accepts."""
        ...


class Names(Protocol):
    """Names and tags of nodes."""

    async def set_name(self, wanted: NameRequest) -> NodeNaming:
        """Name a node."""
        ...

    async def add_tag(self, wanted: TagRequest) -> NodeNaming:
        """Give a node a tag."""
        ...

    async def remove_tag(self, wanted: TagRequest) -> NodeNaming:
        """Take a tag from a node."""
        ...


class Roles(Protocol):
    """Who may do what for the network."""

    async def roles(self) -> RolesInfo:
        """Who has which role."""
        ...

    async def grant(self, wanted: RoleRequest) -> RolesInfo:
        """Give a node a role."""
        ...

    async def ungrant(self, wanted: RoleRequest) -> RolesInfo:
        """Take a role from a node."""
        ...


class Revoker(Protocol):
    """Who shuts nodes out."""

    async def revoke(self, wanted: RevokeRequest) -> Revoked:
        """Shut a node out for good."""
        ...


class WholeConfig(Protocol):
    """The network config as a whole."""

    async def get(self) -> tuple[tuple[int, int], dict[str, Any]]:
        """Number and content of the one in force."""
        ...

    async def put(self, wanted: dict[str, Any], base: tuple[int, int] | None) -> tuple[tuple[int, int], dict[str, Any]]:
        """Put another one in its place."""
        ...


class CaLog(Protocol):
    """The CA's journal."""

    async def entries(self, after: int, limit: int) -> list[JournalEntry]:
        """Entries after number `after`, oldest first."""
        ...

    async def verify(self) -> JournalCheck:
        """Walk its hash chain."""
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


class Keys(Protocol):
    """The keys to the API over TCP."""

    async def create(self, wanted: ApiKeyRequest) -> ApiKeyCreated:
        """Make one."""
        ...

    async def all(self) -> list[ApiKeyInfo]:
        """Every key, oldest first."""
        ...

    async def revoke(self, named: str) -> ApiKeyInfo:
        """End one."""
        ...


@dataclass(frozen=True)
class Control:
    """All that one node can be asked for."""

    node: Node
    trace: Tracer
    why: Explainer
    pins: Pins
    tokens: Tokens
    templates: TemplateStore
    config: WholeConfig
    file: WholeFile
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
    keys: Keys
    resolver: Resolver
    doctor: Doctor
    reload: Reloader
    remote: Remote
    routes: Routes
