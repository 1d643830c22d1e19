"""Pins nodes to the way a person wants for them, and keeps that over restarts.

Invariant: a pin is answered only once it is on disk; that it cannot be followed now is told, and refuses nothing.
"""

import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from pulse.core.facts import Fact, PinsChanged
from pulse.core.mesh import Mesh
from pulse.core.paths.pins import MOST_PINS
from pulse.core.trust.certificates import Certificate
from pulse.core.types import LEAST_PREFIX, NodeId
from pulse.errors import NotFound, Refused
from pulse.schemas.pin import PinInfo, PinRequest, UnpinRequest
from pulse.store import pins

log = logging.getLogger(__name__)


@dataclass(slots=True)
class PinsService:
    """The pins of one node."""

    data_dir: Path
    mesh: Mesh
    tell: Callable[[Fact], None]
    pin_of: Callable[[NodeId], PinInfo | None]
    """How a node is pinned, in schemas."""
    _vias: dict[NodeId, NodeId] = field(default_factory=dict, init=False)

    def restore(self) -> None:
        """Those of an earlier run hold again."""
        self._vias, warning = pins.load(self.data_dir)
        if warning:
            log.warning("pins lost", extra={"error": warning})
        if self._vias:
            self.tell(PinsChanged(dict(self._vias)))

    async def pin(self, wanted: PinRequest) -> PinInfo:
        """Reach a node by one neighbour from now on. Raises NotFound, Conflict, Refused, or SystemRefused."""
        node = self._other(wanted.node_id)
        via = self._via(node, wanted)
        if len(self._vias) >= MOST_PINS and node.node_id not in self._vias:
            raise Refused(f"{MOST_PINS} nodes are pinned, and no more can be. Take one back: pulse unpin <node>")
        self._keep({**self._vias, node.node_id: via})
        return self._told(node.node_id)

    async def unpin(self, wanted: UnpinRequest) -> PinInfo:
        """Reach a node by the best path again. Raises NotFound, Conflict, or SystemRefused."""
        node = self._pinned(wanted.node_id)
        if node not in self._vias:
            named = ", ".join(self._name(each) for each in self._vias)
            raise NotFound(
                f"{self._name(node)} is not pinned ({f'pinned: {named}' if named else 'no node is'}). See: pulse status"
            )
        self._keep({each: via for each, via in self._vias.items() if each != node})
        return self._told(node)

    # Details

    def _other(self, text: str) -> Certificate:
        node = self.mesh.members.resolve(text)
        if node.node_id == self.mesh.me.node_id:
            raise Refused(
                f"{self._name(node.node_id)} is this node itself, and needs no way. Name another: pulse status"
            )
        return node

    def _via(self, node: Certificate, wanted: PinRequest) -> NodeId:
        name = self._name(node.node_id)
        if bool(wanted.via) is wanted.direct:
            raise Refused(f"say which way: pulse pin {name} <via>, or pulse pin {name} --direct")
        if wanted.direct:
            return node.node_id
        via = self.mesh.members.resolve(wanted.via).node_id
        if via == self.mesh.me.node_id:
            raise Refused(
                f"{self._name(via)} is this node itself. For its own link to {name}: pulse pin {name} --direct"
            )
        if via == node.node_id:
            raise Refused(f"{name} is no way to itself. For the link to it: pulse pin {name} --direct")
        return via

    def _pinned(self, text: str) -> NodeId:
        """A node people mean: a member, or a pinned one whose certificate is gone, by the first digits of its id."""
        digits = text.strip().lower()
        gone = [each for each in self._vias if len(digits) >= LEAST_PREFIX and each.startswith(digits)]
        if len(gone) == 1 and self.mesh.members.get(gone[0]) is None:
            return gone[0]
        return self.mesh.members.resolve(text).node_id

    def _keep(self, vias: dict[NodeId, NodeId]) -> None:
        pins.save(self.data_dir, vias)
        self._vias = vias
        self.tell(PinsChanged(dict(vias)))

    def _told(self, node: NodeId) -> PinInfo:
        unpinned = PinInfo(node, self._name(node), "", "", direct=False, followed=False, problem="")
        return self.pin_of(node) or unpinned

    def _name(self, node: NodeId) -> str:
        return self.mesh.members.label_of(node)
