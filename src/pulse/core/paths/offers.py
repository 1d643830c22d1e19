"""Which services the nodes announce in their records.

Invariant: a node that announces none is not in it, and who looks can tell whether anything changed since.
"""

from collections.abc import Mapping

from pulse.core.paths.noderecord import NodeRecord, Service
from pulse.core.types import NodeId


class Offers:
    """Services by node."""

    def __init__(self) -> None:
        self._by_node: dict[NodeId, tuple[Service, ...]] = {}
        self.revision = 0
        """Another number after each change."""

    def record_accepted(self, record: NodeRecord) -> None:
        """A node, or this one, says something of itself."""
        self._put(record.node, record.services)

    def record_forgotten(self, node: NodeId) -> None:
        """Nobody keeps the record of a node any more."""
        self._put(node, ())

    def all(self) -> Mapping[NodeId, tuple[Service, ...]]:
        """Who announces what."""
        return self._by_node

    def _put(self, node: NodeId, services: tuple[Service, ...]) -> None:
        if self._by_node.get(node, ()) == services:
            return
        self.revision += 1
        if services:
            self._by_node[node] = services
        else:
            del self._by_node[node]
