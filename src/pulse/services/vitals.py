"""Tells what a node knows of its own state without asking anybody: what status and doctor judge it by.

Invariant: nothing is judged here, and nothing read but what is in memory; the machine's network is looked at only
while somebody is missing.
"""

from dataclasses import dataclass
from typing import Protocol

from pulse import clock
from pulse.core.mesh import Mesh
from pulse.core.paths.neighbours import Unreached
from pulse.core.symptoms import Missing, Running
from pulse.core.trust.fleet import Outlook, survey
from pulse.core.types import NodeId
from pulse.net.beyond import ExitNode, Exits
from pulse.net.interfaces import has_network


class Told(Protocol):
    """What this service asks of TUN device, scribe, resolver and others: why it is not as it should be."""

    problem: str


class Used(Protocol):
    """What of this machine goes by way of the node."""

    @property
    def resolver(self) -> Told: ...
    @property
    def exits(self) -> Exits: ...
    @property
    def exit_node(self) -> ExitNode: ...


@dataclass(frozen=True, slots=True)
class VitalsService:
    """One node that looks at itself."""

    mesh: Mesh
    device: Told | None
    scribe: Told
    used: Used
    rotation: Told | None
    """On the CA."""

    def vitals(self) -> Running:
        """As far as it costs nothing; the rest of `Running` is left as it is by default."""
        mesh, me, now = self.mesh, self.mesh.me, clock.wall()
        missing = self._missing()
        return Running(
            certificate_left=me.not_after - now,
            certificate_life=me.not_after - me.not_before,
            late=self._late(now),
            revoked=me.node_id in mesh.statements.revoked(),
            clock_offset=mesh.sight.clock_offset(),
            missing=missing,
            cut_off=bool(missing) and not has_network(),
            scribe_problem=self.scribe.problem,
            rotation_problem=self.rotation.problem if self.rotation else "",
            tun_problem=self.device.problem if self.device else "",
            resolver_problem=self.used.resolver.problem,
            exits_problem=self.used.exits.problem,
            ranges_refused=self.used.exits.refused(),
            bypasses=self.used.exits.bypasses,
            left=self.used.exit_node.left,
            exit_problem=self.used.exit_node.problem,
        )

    # Details

    def _missing(self) -> list[Missing]:
        """Whom a person named, and nothing leads to; of several places of one node the first."""
        lost = [
            each
            for each in self.mesh.neighbours.unreached()
            if each.configured and not (each.node and self._is_reached(each.node))
        ]
        first = dict[str, Unreached]()
        for each in lost:
            first.setdefault(each.node or each.address, each)
        name = self.mesh.members.label_of
        return [Missing(each.address, name(each.node) if each.node else "", each.last_error) for each in first.values()]

    def _late(self, now: float) -> list[tuple[str, float]]:
        """Nodes that should have renewed: where the CA is all of them, elsewhere those that are reached."""
        me = self.mesh.me
        return [
            (self.mesh.members.label(each.certificate), each.left)
            for each in survey(self.mesh.members.all(), now)
            if each.outlook is Outlook.LATE
            and each.certificate.node_id != me.node_id
            and (me.is_ca or self._is_reached(each.certificate.node_id))
        ]

    def _is_reached(self, node: NodeId) -> bool:
        return self.mesh.routing.path_to(node) is not None
