"""What can be asked of a node: one resource a field, under the name of the file here that asks it.

Invariant: a resource is a service of `pulse.services`, or stands for one elsewhere; every method may raise PulseError.
"""

from dataclasses import dataclass
from typing import Any, Protocol

from pulse import (
    certschemas,
    configschemas,
    dnsschemas,
    eventschemas,
    opsschemas,
    pathschemas,
    policyschemas,
    resolverschemas,
    routeschemas,
    schemas,
    scribeschemas,
    statsschemas,
)


class Node(Protocol):
    """This node, and what it sees."""

    async def identity(self) -> schemas.NodeIdentity:
        """Who this node is."""
        ...

    async def certificate(self) -> schemas.CertificateInfo:
        """This node's certificate."""
        ...

    async def certificates(self) -> list[certschemas.FleetCertificate]:
        """The certificates of all nodes known here, the one that ends first first."""
        ...

    async def status(self) -> scribeschemas.MeshState:
        """The mesh as this node sees it."""
        ...

    async def ping(self, wanted: schemas.PingRequest) -> schemas.PingReply:
        """Ask another node and measure."""
        ...

    async def stop(self) -> schemas.Stopping:
        """Take leave."""
        ...


class Tracer(Protocol):
    """Who finds the way frames take."""

    async def trace(self, wanted: pathschemas.TraceRequest) -> pathschemas.Trace:
        """Find the way to another node."""
        ...


class Explainer(Protocol):
    """Who says why a path is what it is."""

    async def why(self, wanted: pathschemas.WhyRequest) -> pathschemas.Why:
        """Say why another node is reached as it is."""
        ...


class Pins(Protocol):
    """Which nodes are reached by a way of our choice."""

    async def pin(self, wanted: schemas.PinRequest) -> schemas.PinInfo:
        """Reach a node by one neighbour."""
        ...

    async def unpin(self, wanted: schemas.UnpinRequest) -> schemas.PinInfo:
        """Reach a node by the best path again."""
        ...


class Tokens(Protocol):
    """Join tokens, where they are kept."""

    async def create(self, wanted: schemas.TokenRequest) -> schemas.TokenCreated:
        """Make one."""
        ...

    async def invite(self, wanted: schemas.TokenRequest) -> schemas.Invite:
        """Make a line to paste on the next machine."""
        ...

    async def all(self) -> list[schemas.TokenInfo]:
        """Every token, oldest first."""
        ...

    async def revoke(self, prefix: str) -> schemas.TokenInfo:
        """End one."""
        ...

    async def master(self) -> schemas.MasterToken:
        """The token this CA always accepts."""
        ...


class Names(Protocol):
    """Names and tags of nodes."""

    async def set_name(self, wanted: schemas.NameRequest) -> schemas.NodeNaming:
        """Name a node."""
        ...

    async def add_tag(self, wanted: schemas.TagRequest) -> schemas.NodeNaming:
        """Give a node a tag."""
        ...

    async def remove_tag(self, wanted: schemas.TagRequest) -> schemas.NodeNaming:
        """Take a tag from a node."""
        ...


class Roles(Protocol):
    """Who may do what for the network."""

    async def roles(self) -> schemas.RolesInfo:
        """Who has which role."""
        ...

    async def grant(self, wanted: schemas.RoleRequest) -> schemas.RolesInfo:
        """Give a node a role."""
        ...

    async def ungrant(self, wanted: schemas.RoleRequest) -> schemas.RolesInfo:
        """Take a role from a node."""
        ...


class Revoker(Protocol):
    """Who shuts nodes out."""

    async def revoke(self, wanted: schemas.RevokeRequest) -> schemas.Revoked:
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

    async def entries(self, after: int, limit: int) -> list[schemas.JournalEntry]:
        """Entries after number `after`, oldest first."""
        ...

    async def verify(self) -> schemas.JournalCheck:
        """Walk its hash chain."""
        ...


class History(Protocol):
    """This node's journal."""

    async def events(self, wanted: eventschemas.EventsQuery) -> eventschemas.Events:
        """Entries of it."""
        ...

    async def verify(self) -> schemas.JournalCheck:
        """Walk its hash chain."""
        ...

    async def at(self, wanted: eventschemas.MomentQuery) -> eventschemas.Moment:
        """The mesh as it was at a time."""
        ...


class Doctor(Protocol):
    """Who tells of this node's own state."""

    async def checkup(self) -> opsschemas.Checkup:
        """What `pulse doctor` asks."""
        ...


class Reloader(Protocol):
    """Who reads this node's settings."""

    async def reload(self) -> opsschemas.Reloaded:
        """Read them again."""
        ...


class Remote(Protocol):
    """What is asked of other nodes as their operator, and restarts of this one."""

    async def restart(self, wanted: opsschemas.RestartRequest) -> opsschemas.Restarting:
        """Restart a node."""
        ...

    async def configure(self, wanted: opsschemas.RemoteSettings) -> opsschemas.Reloaded:
        """Change settings of another node."""
        ...


class Keys(Protocol):
    """The keys to the API over TCP."""

    async def create(self, wanted: scribeschemas.ApiKeyRequest) -> scribeschemas.ApiKeyCreated:
        """Make one."""
        ...

    async def all(self) -> list[scribeschemas.ApiKeyInfo]:
        """Every key, oldest first."""
        ...

    async def revoke(self, named: str) -> scribeschemas.ApiKeyInfo:
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
    templates: configschemas.TemplateStore
    config: WholeConfig
    file: configschemas.WholeFile
    names: Names
    dns: dnsschemas.ZoneStore
    acls: policyschemas.Acls
    hits: policyschemas.HitCounts
    bulk: scribeschemas.Bulk
    roles: Roles
    revoke: Revoker
    ca: CaLog
    rotation: certschemas.Rotation
    events: History
    stats: statsschemas.StatsTold
    metrics: statsschemas.MetricsTold
    keys: Keys
    resolver: resolverschemas.Resolver
    doctor: Doctor
    reload: Reloader
    remote: Remote
    routes: routeschemas.Routes
