"""What can be asked of a node about what holds in the whole mesh: who may join it, who is called what, who may do what.

Invariant: as in `control.py`.
"""

from typing import Any, Protocol

from pulse.schemas.apikeys import ApiKeyCreated, ApiKeyInfo, ApiKeyRequest
from pulse.schemas.bulk import BulkDone, BulkRequest
from pulse.schemas.cert import CaRotation, RotationWithout
from pulse.schemas.config import (
    ConfigFile,
    ConfigPlan,
    ConfigWanted,
    TemplateRef,
    TemplateRequest,
    TemplateView,
    Version,
)
from pulse.schemas.dns import RecordRef, RecordRequest, RecordView, ZoneChange
from pulse.schemas.journal import JournalCheck, JournalEntry
from pulse.schemas.names import NameRequest, NodeNaming, TagRequest
from pulse.schemas.policy import (
    AssertionRef,
    AssertionRequest,
    FlowRequest,
    FlowVerdict,
    GroupRef,
    GroupRequest,
    Hits,
    HitsQuery,
    Policy,
    PolicyChange,
    RuleFile,
    RuleMove,
    RuleRef,
    RuleRequest,
)
from pulse.schemas.revoke import Revoked, RevokeRequest
from pulse.schemas.roles import RoleRequest, RolesInfo
from pulse.schemas.routes import RouteChange, RouteRef, RouteRequest, RouteView
from pulse.schemas.tokens import Invite, MasterToken, TokenCreated, TokenInfo, TokenRequest


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


class TemplateStore(Protocol):
    """What new nodes of a kind get."""

    async def all(self) -> list[TemplateView]:
        """Every template, by name."""
        ...

    async def set(self, wanted: TemplateRequest) -> TemplateView:
        """Have a template."""
        ...

    async def remove(self, wanted: TemplateRef) -> TemplateView:
        """Take it away."""
        ...


class WholeConfig(Protocol):
    """The network config as a whole."""

    async def get(self) -> tuple[tuple[int, int], dict[str, Any]]:
        """Number and content of the one in force."""
        ...

    async def put(self, wanted: dict[str, Any], base: tuple[int, int] | None) -> tuple[tuple[int, int], dict[str, Any]]:
        """Put another one in its place."""
        ...


class WholeFile(Protocol):
    """The network config as a file."""

    async def export(self) -> tuple[Version, ConfigFile]:
        """Number and content of the config in force."""
        ...

    async def plan(self, wanted: ConfigWanted) -> ConfigPlan:
        """What applying it would change."""
        ...

    async def apply(self, wanted: ConfigWanted, base: Version | None) -> ConfigPlan:
        """Put it in place of the config in force, if that is still `base`."""
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


class ZoneStore(Protocol):
    """Zone records."""

    async def all(self) -> list[RecordView]:
        """Every record, by name."""
        ...

    async def add(self, wanted: RecordRequest) -> ZoneChange:
        """Have a record."""
        ...

    async def remove(self, wanted: RecordRef) -> ZoneChange:
        """Take records away."""
        ...


class Acls(Protocol):
    """Rules, their tests, and groups."""

    async def policy(self) -> Policy:
        """Rules, tests and groups in force."""
        ...

    async def explain(self, wanted: FlowRequest) -> FlowVerdict:
        """Whether a flow is allowed, and why."""
        ...

    async def diff(self, wanted: RuleFile) -> PolicyChange:
        """What would come of other rules."""
        ...

    async def add(self, wanted: RuleRequest) -> PolicyChange:
        """Add a rule."""
        ...

    async def remove(self, wanted: RuleRef) -> PolicyChange:
        """Take a rule away."""
        ...

    async def move(self, wanted: RuleMove) -> PolicyChange:
        """Put a rule elsewhere."""
        ...

    async def add_test(self, wanted: AssertionRequest) -> PolicyChange:
        """State what rules must always let pass, or never."""
        ...

    async def remove_test(self, wanted: AssertionRef) -> PolicyChange:
        """State it no more."""
        ...

    async def set_group(self, wanted: GroupRequest) -> PolicyChange:
        """Say who is in a group."""
        ...

    async def remove_group(self, wanted: GroupRef) -> PolicyChange:
        """Take a group away."""
        ...


class HitCounts(Protocol):
    """Who counts hits."""

    async def hits(self, wanted: HitsQuery) -> Hits:
        """Flows by rule."""
        ...


class Routes(Protocol):
    """Routes beyond the mesh."""

    async def all(self) -> list[RouteView]:
        """Every range offered or approved."""
        ...

    async def add(self, wanted: RouteRequest) -> RouteChange:
        """State and approve a route."""
        ...

    async def approve(self, wanted: RouteRef) -> RouteChange:
        """Approve a range that a node offers."""
        ...

    async def remove(self, wanted: RouteRef) -> RouteChange:
        """Take a route away, and its approval with it."""
        ...


class Bulk(Protocol):
    """Changes for many nodes."""

    async def change(self, wanted: BulkRequest) -> BulkDone:
        """Tag, untag or revoke all that a pattern fits."""
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


class CaLog(Protocol):
    """The CA's journal."""

    async def entries(self, after: int, limit: int) -> list[JournalEntry]:
        """Entries after number `after`, oldest first."""
        ...

    async def verify(self) -> JournalCheck:
        """Walk its hash chain."""
        ...


class Rotation(Protocol):
    """The replacement of the CA's key, on the CA."""

    async def status(self) -> CaRotation:
        """How far it is."""
        ...

    async def rotate(self) -> CaRotation:
        """Begin it."""
        ...

    async def go_on_without(self, wanted: RotationWithout) -> CaRotation:
        """Wait for some nodes no longer."""
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
