"""What the control API can ask of a node: the protocol that `services/control.py` implements."""

from typing import Any, Protocol

from pulse import certschemas, configschemas, eventschemas, pathschemas, policyschemas, schemas, scribeschemas


class Control(Protocol):
    """One node, as its owner commands it; every method may raise PulseError."""

    @property
    def bulk(self) -> scribeschemas.Bulk:
        """Many nodes at once."""
        ...

    @property
    def rotation(self) -> certschemas.Rotation:
        """The CA's keys."""
        ...

    @property
    def acls(self) -> policyschemas.Acls:
        """The rules."""
        ...

    @property
    def file(self) -> configschemas.WholeFile:
        """The whole network config as a file."""
        ...

    @property
    def templates(self) -> configschemas.TemplateStore:
        """What new nodes get."""
        ...

    @property
    def hits(self) -> policyschemas.HitCounts:
        """Flows by rule."""
        ...

    async def status(self) -> scribeschemas.MeshState:
        """The mesh as this node sees it."""
        ...

    async def identity(self) -> schemas.NodeIdentity:
        """Who this node is."""
        ...

    async def certificate(self) -> schemas.CertificateInfo:
        """This node's certificate."""
        ...

    async def certificates(self) -> list[certschemas.FleetCertificate]:
        """The certificates of all nodes known here, the one that ends first first."""
        ...

    async def create_token(self, wanted: schemas.TokenRequest) -> schemas.TokenCreated:
        """Make a join token."""
        ...

    async def list_tokens(self) -> list[schemas.TokenInfo]:
        """Every token, oldest first."""
        ...

    async def revoke_token(self, prefix: str) -> schemas.TokenInfo:
        """End a token."""
        ...

    async def master_token(self) -> schemas.MasterToken:
        """The token this CA always accepts."""
        ...

    async def invite(self, wanted: schemas.TokenRequest) -> schemas.Invite:
        """Make a line to paste on the next machine."""
        ...

    async def set_name(self, wanted: schemas.NameRequest) -> schemas.NodeNaming:
        """Name a node."""
        ...

    async def add_tag(self, wanted: schemas.TagRequest) -> schemas.NodeNaming:
        """Give a node a tag."""
        ...

    async def remove_tag(self, wanted: schemas.TagRequest) -> schemas.NodeNaming:
        """Take a tag from a node."""
        ...

    async def roles(self) -> schemas.RolesInfo:
        """Who has which role."""
        ...

    async def grant(self, wanted: schemas.RoleRequest) -> schemas.RolesInfo:
        """Give a node a role."""
        ...

    async def ungrant(self, wanted: schemas.RoleRequest) -> schemas.RolesInfo:
        """Take a role from a node."""
        ...

    async def config(self) -> tuple[tuple[int, int], dict[str, Any]]:
        """Number and content of the network config in force."""
        ...

    async def put_config(
        self, wanted: dict[str, Any], base: tuple[int, int] | None
    ) -> tuple[tuple[int, int], dict[str, Any]]:
        """Put another one in its place."""
        ...

    async def revoke(self, wanted: schemas.RevokeRequest) -> schemas.Revoked:
        """Shut a node out for good."""
        ...

    async def ca_log(self, after: int, limit: int) -> list[schemas.JournalEntry]:
        """Entries of the CA's journal after number `after`, oldest first."""
        ...

    async def ca_verify(self) -> schemas.JournalCheck:
        """Walk the journal's hash chain."""
        ...

    async def events(self, wanted: eventschemas.EventsQuery) -> eventschemas.Events:
        """Entries of this node's journal."""
        ...

    async def events_verify(self) -> schemas.JournalCheck:
        """Walk the hash chain of this node's journal."""
        ...

    async def events_at(self, wanted: eventschemas.MomentQuery) -> eventschemas.Moment:
        """The mesh as it was at a time."""
        ...

    async def ping(self, wanted: schemas.PingRequest) -> schemas.PingReply:
        """Ask another node and measure."""
        ...

    async def trace(self, wanted: pathschemas.TraceRequest) -> pathschemas.Trace:
        """Find the way frames take to another node."""
        ...

    async def why(self, wanted: pathschemas.WhyRequest) -> pathschemas.Why:
        """Say why another node is reached as it is."""
        ...

    async def pin(self, wanted: schemas.PinRequest) -> schemas.PinInfo:
        """Reach a node by one neighbour."""
        ...

    async def unpin(self, wanted: schemas.UnpinRequest) -> schemas.PinInfo:
        """Reach a node by the best path again."""
        ...

    async def create_api_key(self, wanted: scribeschemas.ApiKeyRequest) -> scribeschemas.ApiKeyCreated:
        """Make a key to this API."""
        ...

    async def list_api_keys(self) -> list[scribeschemas.ApiKeyInfo]:
        """Every key, oldest first."""
        ...

    async def revoke_api_key(self, named: str) -> scribeschemas.ApiKeyInfo:
        """End a key."""
        ...

    async def stop(self) -> schemas.Stopping:
        """Take leave."""
        ...
