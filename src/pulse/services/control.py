"""Answers the control API: what mesh, CA and the services beside this one know, said in schemas.

Invariant: nothing is decided here; what changes is changed by the services it asks, or is the stop flag.
"""

import asyncio
import os
from dataclasses import dataclass, field
from typing import Any, Protocol

from pulse import certschemas, clock, configschemas, eventschemas, pathschemas, policyschemas, schemas, scribeschemas
from pulse.core.mesh import Mesh
from pulse.core.messages import MethodName
from pulse.core.trust.fleet import survey
from pulse.core.types import NodeId
from pulse.errors import Refused
from pulse.net.links import Rpc
from pulse.store.journal import Entry, Verification


class Journal(Protocol):
    """What this service asks of the CA on this node."""

    def entries(self, after: int, limit: int) -> list[Entry]: ...
    def verify(self) -> Verification: ...


class Tokens(Protocol):
    """Who keeps join tokens, or asks whoever does."""

    async def create(self, wanted: schemas.TokenRequest) -> schemas.TokenCreated: ...
    async def invite(self, wanted: schemas.TokenRequest) -> schemas.Invite: ...
    async def tokens(self) -> list[schemas.TokenInfo]: ...
    async def revoke(self, prefix: str) -> schemas.TokenInfo: ...
    async def master(self) -> schemas.MasterToken: ...


class Editor(Protocol):
    """Who has the network config changed."""

    async def set_name(self, wanted: schemas.NameRequest) -> schemas.NodeNaming: ...
    async def add_tag(self, wanted: schemas.TagRequest) -> schemas.NodeNaming: ...
    async def remove_tag(self, wanted: schemas.TagRequest) -> schemas.NodeNaming: ...


class Appointer(Protocol):
    """Who tells roles, and on the CA gives them."""

    async def roles(self) -> schemas.RolesInfo: ...
    async def grant(self, wanted: schemas.RoleRequest) -> schemas.RolesInfo: ...
    async def ungrant(self, wanted: schemas.RoleRequest) -> schemas.RolesInfo: ...


class Revoker(Protocol):
    """What this service asks of whoever signs revocations here."""

    async def revoke(self, wanted: schemas.RevokeRequest) -> schemas.Revoked: ...


class Statuses(Protocol):
    """Who tells how the mesh looks from here."""

    def status(self) -> schemas.Status: ...
    def identity(self) -> schemas.NodeIdentity: ...
    def way_to(self, node: NodeId) -> tuple[str, str]:
        """Link type and name of the first relay."""


class Tracer(Protocol):
    """Who finds the way frames take."""

    async def trace(self, wanted: pathschemas.TraceRequest) -> pathschemas.Trace: ...


class Explainer(Protocol):
    """Who says why a path is what it is."""

    async def why(self, wanted: pathschemas.WhyRequest) -> pathschemas.Why: ...


class Historian(Protocol):
    """Who tells what the journal of this node has."""

    async def events(self, wanted: eventschemas.EventsQuery) -> eventschemas.Events: ...
    async def verify(self) -> schemas.JournalCheck: ...
    async def at(self, wanted: eventschemas.MomentQuery) -> eventschemas.Moment: ...


class Pinner(Protocol):
    """Who pins nodes to ways."""

    async def pin(self, wanted: schemas.PinRequest) -> schemas.PinInfo: ...
    async def unpin(self, wanted: schemas.UnpinRequest) -> schemas.PinInfo: ...


class Keys(Protocol):
    """Who keeps the keys to the API over TCP."""

    async def create(self, wanted: scribeschemas.ApiKeyRequest) -> scribeschemas.ApiKeyCreated: ...
    async def all(self) -> list[scribeschemas.ApiKeyInfo]: ...
    async def revoke(self, named: str) -> scribeschemas.ApiKeyInfo: ...


class Whole(Protocol):
    """Who tells the network config as a whole, and replaces it."""

    async def get(self) -> tuple[tuple[int, int], dict[str, Any]]: ...
    async def put(
        self, wanted: dict[str, Any], base: tuple[int, int] | None
    ) -> tuple[tuple[int, int], dict[str, Any]]: ...
    def state(self, status: schemas.Status) -> scribeschemas.MeshState: ...


@dataclass(slots=True)
class ControlService:
    """One node as its owner commands it; implements `api.control.Control`."""

    mesh: Mesh
    call: Rpc
    pinned: bool
    ca: Journal | None
    """On the CA."""
    tokens: Tokens
    statuses: Statuses
    tracer: Tracer
    explainer: Explainer
    edits: Editor
    appointer: Appointer
    revoker: Revoker
    pins: Pinner
    history: Historian
    acls: policyschemas.Acls
    bulk: scribeschemas.Bulk
    keys: Keys
    whole: Whole
    file: configschemas.WholeFile
    templates: configschemas.TemplateStore
    hits: policyschemas.HitCounts
    rotation: certschemas.Rotation
    stopping: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when somebody asked the node to stop."""

    # This node

    async def identity(self) -> schemas.NodeIdentity:
        return self.statuses.identity()

    async def certificate(self) -> schemas.CertificateInfo:
        me = self.mesh.me
        return schemas.CertificateInfo(
            id=me.node_id,
            name=self.mesh.members.label(me),
            tags=list(me.tags),
            addresses=[str(me.addresses.v4), str(me.addresses.v6)],
            serial=f"{me.serial:x}",
            not_before=me.not_before,
            not_after=me.not_after,
            left=me.not_after - clock.wall(),
            ca_hash=me.network.ca_hash,
            pinned=self.pinned,
        )

    async def certificates(self) -> list[certschemas.FleetCertificate]:
        return [
            certschemas.FleetCertificate(
                id=each.certificate.node_id,
                name=self.mesh.members.label(each.certificate),
                not_before=each.certificate.not_before,
                not_after=each.certificate.not_after,
                left=each.left,
                outlook=each.outlook.value,
                reached=self._is_reached(each.certificate.node_id),
            )
            for each in survey(self.mesh.members.all(), clock.wall())
        ]

    async def status(self) -> scribeschemas.MeshState:
        return self.whole.state(self.statuses.status())

    async def ping(self, wanted: schemas.PingRequest) -> schemas.PingReply:
        node = self.mesh.members.resolve(wanted.node)
        if node.node_id == self.mesh.me.node_id:
            raise Refused(f"{self.mesh.members.label(node)} is this node itself. Name another: pulse status")
        sent = self._now()
        await self.call(node.node_id, MethodName.PING, b"", wanted.timeout)
        rtt = self._now() - sent
        link, via = self.statuses.way_to(node.node_id)
        return schemas.PingReply(node.node_id, self.mesh.members.label(node), str(node.addresses.v4), rtt, link, via)

    async def trace(self, wanted: pathschemas.TraceRequest) -> pathschemas.Trace:
        return await self.tracer.trace(wanted)

    async def why(self, wanted: pathschemas.WhyRequest) -> pathschemas.Why:
        return await self.explainer.why(wanted)

    async def pin(self, wanted: schemas.PinRequest) -> schemas.PinInfo:
        return await self.pins.pin(wanted)

    async def unpin(self, wanted: schemas.UnpinRequest) -> schemas.PinInfo:
        return await self.pins.unpin(wanted)

    async def stop(self) -> schemas.Stopping:
        self.stopping.set()
        return schemas.Stopping(os.getpid())

    # Tokens

    async def create_token(self, wanted: schemas.TokenRequest) -> schemas.TokenCreated:
        return await self.tokens.create(wanted)

    async def invite(self, wanted: schemas.TokenRequest) -> schemas.Invite:
        return await self.tokens.invite(wanted)

    async def list_tokens(self) -> list[schemas.TokenInfo]:
        return await self.tokens.tokens()

    async def revoke_token(self, prefix: str) -> schemas.TokenInfo:
        return await self.tokens.revoke(prefix)

    async def master_token(self) -> schemas.MasterToken:
        return await self.tokens.master()

    # Roles, names, tags, revocations

    async def roles(self) -> schemas.RolesInfo:
        return await self.appointer.roles()

    async def grant(self, wanted: schemas.RoleRequest) -> schemas.RolesInfo:
        return await self.appointer.grant(wanted)

    async def ungrant(self, wanted: schemas.RoleRequest) -> schemas.RolesInfo:
        return await self.appointer.ungrant(wanted)

    async def set_name(self, wanted: schemas.NameRequest) -> schemas.NodeNaming:
        return await self.edits.set_name(wanted)

    async def add_tag(self, wanted: schemas.TagRequest) -> schemas.NodeNaming:
        return await self.edits.add_tag(wanted)

    async def remove_tag(self, wanted: schemas.TagRequest) -> schemas.NodeNaming:
        return await self.edits.remove_tag(wanted)

    async def revoke(self, wanted: schemas.RevokeRequest) -> schemas.Revoked:
        return await self.revoker.revoke(wanted)

    # The network config

    async def config(self) -> tuple[tuple[int, int], dict[str, Any]]:
        return await self.whole.get()

    async def put_config(
        self, wanted: dict[str, Any], base: tuple[int, int] | None
    ) -> tuple[tuple[int, int], dict[str, Any]]:
        return await self.whole.put(wanted, base)

    # Keys to the API

    async def create_api_key(self, wanted: scribeschemas.ApiKeyRequest) -> scribeschemas.ApiKeyCreated:
        return await self.keys.create(wanted)

    async def list_api_keys(self) -> list[scribeschemas.ApiKeyInfo]:
        return await self.keys.all()

    async def revoke_api_key(self, named: str) -> scribeschemas.ApiKeyInfo:
        return await self.keys.revoke(named)

    # Journals

    async def events(self, wanted: eventschemas.EventsQuery) -> eventschemas.Events:
        return await self.history.events(wanted)

    async def events_verify(self) -> schemas.JournalCheck:
        return await self.history.verify()

    async def events_at(self, wanted: eventschemas.MomentQuery) -> eventschemas.Moment:
        return await self.history.at(wanted)

    async def ca_log(self, after: int, limit: int) -> list[schemas.JournalEntry]:
        entries = self._journal().entries(after, limit)
        return [schemas.JournalEntry(each.seq, each.time, each.event, each.fields) for each in entries]

    async def ca_verify(self) -> schemas.JournalCheck:
        found = self._journal().verify()
        return schemas.JournalCheck(found.entries, found.broken, found.reason, found.time)

    # Details

    def _journal(self) -> Journal:
        if self.ca is None:
            keepers = [self.mesh.members.label(each) for each in self.mesh.members.all() if each.is_ca]
            where = f" Run it on {keepers[0]}." if keepers else ""
            raise Refused(f"this node is not the CA, and its journal lives there.{where}")
        return self.ca

    def _is_reached(self, node: NodeId) -> bool:
        return node == self.mesh.me.node_id or self.mesh.routing.path_to(node) is not None

    @staticmethod
    def _now() -> float:
        return asyncio.get_running_loop().time()
