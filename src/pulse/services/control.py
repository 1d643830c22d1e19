"""Answers the control API: reads what mesh, CA and TUN know and says it in schemas.

Invariant: nothing is decided here; what changes is changed by the services it asks, or is the stop flag.
"""

import asyncio
import os
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from pulse import clock, schemas
from pulse.core.health import Health, PeerHealth, Vitals, judge
from pulse.core.mesh import Mesh
from pulse.core.paths.neighbours import Unreached
from pulse.core.trust.certificates import Certificate
from pulse.core.trust.members import label
from pulse.core.trust.tokens import TokenRecord, Unfit
from pulse.core.types import NodeId
from pulse.errors import NotFound, Refused
from pulse.net.links import Links, PeerTraffic
from pulse.schemas import TokenRequest
from pulse.store.journal import Entry, Verification

INVITE_TTL = 3600.0
"""Seconds an invite is good for unless said otherwise: long enough to walk to the other machine."""

NO_PATH = "-"
NO_TRAFFIC = PeerTraffic(NodeId(""), 0, 0, 0, 0)
_STATES = {None: "good", Unfit.EXPIRED: "expired", Unfit.USED_UP: "used_up", Unfit.REVOKED: "revoked"}


class Authority(Protocol):
    """What this service asks of the CA on this node."""

    def create_token(self, wanted: TokenRequest) -> tuple[str, TokenRecord]: ...
    def invite(self, wanted: TokenRequest) -> tuple[str, TokenRecord]: ...
    def invite_addresses(self) -> Sequence[str]: ...
    def tokens(self) -> list[TokenRecord]: ...
    def revoke_token(self, prefix: str) -> TokenRecord: ...
    def master_token(self) -> str | None: ...
    def entries(self, after: int, limit: int) -> list[Entry]: ...
    def verify(self) -> Verification: ...


class Keeper(Protocol):
    """What this service asks of the scribe on this node."""

    problem: str

    async def set_name(self, wanted: schemas.NameRequest) -> schemas.NodeNaming: ...
    async def add_tag(self, wanted: schemas.TagRequest) -> schemas.NodeNaming: ...
    async def remove_tag(self, wanted: schemas.TagRequest) -> schemas.NodeNaming: ...


class Revoker(Protocol):
    """What this service asks of whoever signs revocations here."""

    async def revoke(self, wanted: schemas.RevokeRequest) -> schemas.Revoked: ...


class Device(Protocol):
    """What this service asks of the TUN device."""

    name: str
    problem: str


@dataclass(slots=True)
class ControlService:
    """One node as its owner commands it; implements `api.control.Control`."""

    mesh: Mesh
    links: Links
    call: Callable[[NodeId, str, bytes, float], Awaitable[bytes]]
    """An RPC to another node: method, body, seconds to wait."""
    version: str
    listen: str
    pinned: bool
    ca: Authority | None
    tun: Device | None
    started: float
    """The event loop's time at start."""
    scribe: Keeper | None = None
    revoker: Revoker | None = None
    stopping: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when somebody asked the node to stop."""

    # This node

    async def identity(self) -> schemas.NodeIdentity:
        return self.identity_now()

    def identity_now(self) -> schemas.NodeIdentity:
        """Who this node is; the API's form of it is `identity`."""
        me = self.mesh.me
        return identity_of(me, self._roles(me), self.mesh.members.label(me))

    async def certificate(self) -> schemas.CertificateInfo:
        me = self.mesh.me
        return schemas.CertificateInfo(
            id=me.node_id,
            name=label(me),
            tags=list(me.tags),
            addresses=[str(me.addresses.v4), str(me.addresses.v6)],
            serial=f"{me.serial:x}",
            not_before=me.not_before,
            not_after=me.not_after,
            left=me.not_after - clock.wall(),
            ca_hash=me.network.ca_hash,
            pinned=self.pinned,
        )

    async def status(self) -> schemas.Status:
        peers = self._peers()
        health = self._health(peers)
        return schemas.Status(
            well=health.well,
            sentence=health.sentence,
            node=await self.identity(),
            version=self.version,
            uptime=self._now() - self.started,
            listen=self.listen,
            tun="" if self.tun is None or self.tun.problem else self.tun.name,
            certificate_left=self.mesh.me.not_after - clock.wall(),
            peers=peers,
            drops={reason: count for reason, count in self.links.drops().items() if count},
        )

    async def ping(self, wanted: schemas.PingRequest) -> schemas.PingReply:
        node = self.mesh.members.resolve(wanted.node)
        if node.node_id == self.mesh.me.node_id:
            raise Refused(f"{self.mesh.members.label(node)} is this node itself. Name another: pulse status")
        sent = self._now()
        await self.call(node.node_id, "ping", b"", wanted.timeout)
        rtt = self._now() - sent
        link = self.mesh.neighbours.link_to(node.node_id)
        transport = link.transport if link else NO_PATH
        name = self.mesh.members.label(node)
        return schemas.PingReply(node.node_id, name, str(node.addresses.v4), rtt, transport, via="")

    async def stop(self) -> schemas.Stopping:
        self.stopping.set()
        return schemas.Stopping(os.getpid())

    # Tokens

    async def create_token(self, wanted: TokenRequest) -> schemas.TokenCreated:
        text, record = self._authority().create_token(wanted)
        return schemas.TokenCreated(text, _token(record))

    async def invite(self, wanted: TokenRequest) -> schemas.Invite:
        authority = self._authority()
        ttl = INVITE_TTL if wanted.ttl is None else wanted.ttl
        terms = TokenRequest(ttl, wanted.max_uses or 1, wanted.tags, wanted.name)
        text, record = authority.invite(terms)
        return schemas.Invite(text, list(authority.invite_addresses()), _token(record))

    async def list_tokens(self) -> list[schemas.TokenInfo]:
        return [_token(record) for record in self._authority().tokens()]

    async def revoke_token(self, prefix: str) -> schemas.TokenInfo:
        return _token(self._authority().revoke_token(prefix))

    async def master_token(self) -> schemas.MasterToken:
        token = self._authority().master_token()
        if token is None:
            raise NotFound(
                "this CA has no master token. Make a token for the next machine: pulse token create --ttl 1h"
            )
        return schemas.MasterToken(token)

    # Names, tags, revocations

    async def set_name(self, wanted: schemas.NameRequest) -> schemas.NodeNaming:
        return await self._keeper().set_name(wanted)

    async def add_tag(self, wanted: schemas.TagRequest) -> schemas.NodeNaming:
        return await self._keeper().add_tag(wanted)

    async def remove_tag(self, wanted: schemas.TagRequest) -> schemas.NodeNaming:
        return await self._keeper().remove_tag(wanted)

    async def revoke(self, wanted: schemas.RevokeRequest) -> schemas.Revoked:
        if self.revoker is None:
            raise Refused("this node revokes nobody")
        return await self.revoker.revoke(wanted)

    # Journal

    async def ca_log(self, after: int, limit: int) -> list[schemas.JournalEntry]:
        entries = self._authority().entries(after, limit)
        return [schemas.JournalEntry(each.seq, each.time, each.event, each.fields) for each in entries]

    async def ca_verify(self) -> schemas.JournalCheck:
        found = self._authority().verify()
        return schemas.JournalCheck(found.entries, found.broken, found.reason)

    # Details

    def _keeper(self) -> Keeper:
        if self.scribe is None:
            raise Refused("this node keeps no names and tags")
        return self.scribe

    def _authority(self) -> Authority:
        if self.ca is None:
            keepers = [self.mesh.members.label(each) for each in self.mesh.members.all() if each.is_ca]
            where = f" Run it on {keepers[0]}." if keepers else ""
            raise Refused(f"this node is not the CA, and tokens and the journal live there.{where}")
        return self.ca

    def _roles(self, certificate: Certificate) -> list[str]:
        roles = ["ca"] if certificate.is_ca else []
        if self.mesh.statements.roles.scribe == certificate.node_id:
            roles.append("scribe")
        return roles

    def _peers(self) -> list[schemas.PeerRow]:
        traffic = {each.node: each for each in self.links.traffic()}
        # Of several places where a node was tried the first is shown: one that a person named.
        lost = {each.node: each for each in reversed(self.mesh.neighbours.unreached())}
        others = [each for each in self.mesh.members.all() if each.node_id != self.mesh.me.node_id]
        rows = [self._row(each, traffic.get(each.node_id, NO_TRAFFIC), lost.get(each.node_id)) for each in others]
        return sorted(rows, key=lambda row: (row.link == NO_PATH, row.name))

    def _row(self, peer: Certificate, traffic: PeerTraffic, lost: Unreached | None) -> schemas.PeerRow:
        link = self.mesh.neighbours.link_to(peer.node_id)
        quality = self.mesh.probe.quality(link.link) if link else None
        return schemas.PeerRow(
            id=peer.node_id,
            name=self.mesh.members.label(peer),
            v4=str(peer.addresses.v4),
            v6=str(peer.addresses.v6),
            roles=self._roles(peer),
            link=link.transport if link else NO_PATH,
            via="",
            rtt=quality.rtt if quality else None,
            jitter=quality.jitter if quality else None,
            loss=quality.loss if quality else None,
            suspect=bool(quality and quality.suspect),
            seen=self._seen(peer.node_id),
            address=link.observed if link else (lost.address if lost else ""),
            last_error=lost.last_error if lost else "",
            bytes_in=traffic.bytes_in,
            bytes_out=traffic.bytes_out,
            tags=list(self.mesh.members.tags(peer)),
        )

    def _seen(self, node: NodeId) -> float | None:
        if self.mesh.neighbours.link_to(node) is not None:
            return 0.0
        parted = self.mesh.neighbours.parted_at(node)
        return None if parted is None else self._now() - parted

    def _health(self, peers: Sequence[schemas.PeerRow]) -> Health:
        lost = self.mesh.neighbours.unreached()
        wanted = {each.node: each for each in lost if each.configured and each.node is not None}
        linked = [PeerHealth(row.name, row.link != NO_PATH, NodeId(row.id) in wanted, row.last_error) for row in peers]
        nobody = [
            PeerHealth(each.address, False, each.configured, each.last_error) for each in lost if each.node is None
        ]
        vitals = Vitals(
            peers=linked + nobody,
            certificate_left=self.mesh.me.not_after - clock.wall(),
            clock_offset=self.mesh.clock_offset(),
            tun_wanted=self.tun is not None,
            tun_problem=self.tun.problem if self.tun else "",
            revoked=self.mesh.me.node_id in self.mesh.statements.revoked(),
            scribe_problem=self.scribe.problem if self.scribe else "",
        )
        return judge(vitals)

    @staticmethod
    def _now() -> float:
        return asyncio.get_running_loop().time()


def identity_of(certificate: Certificate, roles: Sequence[str] = (), name: str = "") -> schemas.NodeIdentity:
    """A node as its certificate tells of it, under the name people gave it if there is one."""
    return schemas.NodeIdentity(
        id=certificate.node_id,
        name=name or label(certificate),
        network=certificate.network.name,
        ca_hash=certificate.network.ca_hash,
        v4=str(certificate.addresses.v4),
        v6=str(certificate.addresses.v6),
        roles=list(roles),
    )


def _token(record: TokenRecord) -> schemas.TokenInfo:
    return schemas.TokenInfo(
        id=record.token_id,
        created=record.created,
        expires=record.expires,
        max_uses=record.max_uses,
        uses=record.uses,
        tags=list(record.tags),
        name=record.name,
        master=record.is_master,
        state=_STATES[record.unfit(clock.wall())],
    )
