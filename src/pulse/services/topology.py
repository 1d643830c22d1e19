"""Tells which links there are in the whole mesh, as routing counts them.

Invariant: nothing is shown that routing does not reckon with, and nobody who is shut out.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from pulse.core.mesh import Mesh
from pulse.core.paths.graph import ME, Graph
from pulse.core.paths.scores import MICRO
from pulse.core.types import LinkId
from pulse.schemas.topology import Topology, TopologyLink


@dataclass(frozen=True, slots=True)
class TopologyService:
    """Reads the graph; it changes nothing."""

    mesh: Mesh
    link_type: Callable[[LinkId], str]
    """Of a link of this node, as the status names it."""

    async def topology(self) -> Topology:
        """The links of the mesh."""
        graph = self.mesh.linkstate.graph()
        return Topology(list(graph.nodes), [*self._own(graph), *_others(graph)])

    def _own(self, graph: Graph) -> Iterator[TopologyLink]:
        for number, mine in sorted(graph.own.items()):
            yield TopologyLink(ME, number, mine.rtt, mine.loss, self.link_type(mine.link), mine.suspect)


def _others(graph: Graph) -> Iterator[TopologyLink]:
    for one, edges in enumerate(graph.links):
        for other, _, rtt, loss in edges:
            if ME < one < other:
                yield TopologyLink(one, other, rtt / MICRO, loss / MICRO)
