"""Tells all that a node knows of its own state, for `pulse doctor` to judge beside what can be seen from outside.

Invariant: nothing is judged here, and nothing changes.
"""

import os
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from typing import Final, Protocol

from pulse import clock, logs
from pulse.config import NodeConfig
from pulse.core import addresses
from pulse.core.mesh import Mesh
from pulse.core.symptoms import Running
from pulse.core.types import LinkType, NodeId
from pulse.schemas.events import Events, EventsQuery
from pulse.schemas.operating import Checkup

LATELY: Final = 86400.0
"""Seconds back to which alarms are told."""

MOST_ALARMS: Final = 4


class Device(Protocol):
    """What this service asks of the TUN device."""

    name: str


@dataclass(frozen=True, slots=True)
class DoctorService:
    """One node that tells of itself."""

    config: NodeConfig
    mesh: Mesh
    device: Device | None
    vitals: Callable[[], Running]
    version: str
    events: Callable[[EventsQuery], Awaitable[Events]]

    async def checkup(self) -> Checkup:
        """All it knows."""
        cidr = self.mesh.statements.mesh_cidr()
        return Checkup(
            pid=os.getpid(),
            data_dir=str(self.config.data_dir),
            port=self.config.listen[1],
            tun=self.device is not None,
            device=self.device.name if self.device else "",
            mesh_cidr=str(cidr) if cidr else "",
            hosts=[addresses.split(each)[0] for each in self.config.relays],
            running=await self._running(),
        )

    # Details

    async def _running(self) -> Running:
        mesh, me = self.mesh, self.mesh.me
        links, scribe = mesh.neighbours.links(), mesh.statements.roles.scribe
        told = await self.events(EventsQuery(type="clone", since=clock.wall() - LATELY, limit=MOST_ALARMS))
        return replace(
            self.vitals(),
            version=self.version,
            nat=mesh.sight.nat().mapping,
            port_mapped=bool(mesh.sight.mapped),
            links=len(links),
            udp_links=sum(each.transport != LinkType.WEBSOCKET for each in links),
            cas=None if me.is_ca else {self._name(each): self._is_reached(each) for each in sorted(mesh.ca_nodes())},
            scribe=self._name(scribe) if scribe and scribe != me.node_id else "",
            scribe_reached=scribe is not None and self._is_reached(scribe),
            versions=self._versions(),
            alarms=[f"{each.name or each.node}: {each.fields.get('why', '')}" for each in told.events],
            not_kept=told.problem,
            in_clear=self.config.in_clear((str(me.addresses.v4), str(me.addresses.v6))),
            v4=str(me.addresses.v4),
            log_lost=logs.lost(),
            exit_versions=sorted({each.behind.version for each in mesh.beyond.served()}),
        )

    def _versions(self) -> dict[str, str]:
        others = (each.node_id for each in self.mesh.members.all() if each.node_id != self.mesh.me.node_id)
        records = ((node, self.mesh.gossip.record(node)) for node in others if self._is_reached(node))
        return {self._name(node): record.version for node, record in records if record}

    def _is_reached(self, node: NodeId) -> bool:
        return self.mesh.routing.path_to(node) is not None

    def _name(self, node: NodeId) -> str:
        return self.mesh.members.label_of(node)
