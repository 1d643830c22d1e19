"""Tells of this node: who it is, what it sees, whether another answers; and stops it.

Invariant: nothing is decided here; all that changes is the stop flag.
"""

import asyncio
import os
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

from pulse import clock
from pulse.core.mesh import Mesh
from pulse.core.messages import MethodName
from pulse.core.trust.certificates import Certificate, verify
from pulse.core.trust.fleet import survey
from pulse.core.types import NodeId
from pulse.errors import Refused
from pulse.net.links import Rpc
from pulse.schemas.cert import FleetCertificate
from pulse.schemas.node import CertificateInfo, NodeIdentity, PingReply, PingRequest, Status, Stopping
from pulse.schemas.scribe import MeshState
from pulse.schemas.stats import Traffic


class Statuses(Protocol):
    """Who tells how the mesh looks from here."""

    def status(self) -> Status: ...
    def identity(self) -> NodeIdentity: ...
    def way_to(self, node: NodeId) -> tuple[str, str]:
        """Link type and name of the first relay."""


class Describer(Protocol):
    """Who adds what the network config says to a status."""

    def state(self, status: Status, stats: dict[str, Traffic]) -> MeshState: ...


@dataclass(slots=True)
class NodeService:
    """One node as its owner sees it; implements `api.control.Node`."""

    mesh: Mesh
    call: Rpc
    pinned: bool
    """Who joined proved the CA by its hash."""
    statuses: Statuses
    describer: Describer
    traffic: Callable[[], dict[str, Traffic]]
    """By node id, of those whose is known here."""
    stays: Callable[[], str] = lambda: ""
    """What of this node stays on the machine for the sake of others once it is gone, in words."""
    embedded: bool = False
    """It lives in another program."""
    stopping: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when somebody asked the node to stop."""

    async def identity(self) -> NodeIdentity:
        return self.statuses.identity()

    async def certificate(self) -> CertificateInfo:
        me = self.mesh.me
        return CertificateInfo(
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
            ca_rotating=self.mesh.statements.chain.is_turning,
            superseded=not self._is_under_newest_key(me),
        )

    def _is_under_newest_key(self, certificate: Certificate) -> bool:
        try:
            verify(certificate, self.mesh.statements.chain.trusted[:1], None)
        except Refused:
            return False
        return True

    async def certificates(self) -> list[FleetCertificate]:
        return [
            FleetCertificate(
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

    async def status(self) -> MeshState:
        return self.describer.state(self.statuses.status(), self.traffic())

    async def ping(self, wanted: PingRequest) -> PingReply:
        node = self.mesh.members.resolve(wanted.node)
        if node.node_id == self.mesh.me.node_id:
            raise Refused(f"{self.mesh.members.label(node)} is this node itself. Name another: pulse status")
        sent = self._now()
        await self.call(node.node_id, MethodName.PING, b"", wanted.timeout)
        rtt = self._now() - sent
        link, via = self.statuses.way_to(node.node_id)
        return PingReply(node.node_id, self.mesh.members.label(node), str(node.addresses.v4), rtt, link, via)

    async def stop(self) -> Stopping:
        self.stopping.set()
        return Stopping(os.getpid(), self.stays(), self.embedded)

    def _is_reached(self, node: NodeId) -> bool:
        return node == self.mesh.me.node_id or self.mesh.routing.path_to(node) is not None

    @staticmethod
    def _now() -> float:
        return asyncio.get_running_loop().time()
