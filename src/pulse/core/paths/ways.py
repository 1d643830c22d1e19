"""All ways to all nodes: which neighbours may be asked to pass on what is for whom, and how good each way is.

A neighbour is a way to a node if it is strictly closer to it than we are, or if it has a counted link of its own
to it (then the frame bears the flag LAST). Distances are additive and the same at every node, so no frame runs
in a circle, whichever of its ways each node picks. Only where every such way is suspect a *detour* may serve: a
neighbour whose own shortest path does not lead back through us (RFC 5286, inequality 1).
"""

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from heapq import nsmallest
from itertools import islice
from typing import Final, NamedTuple

from pulse.core.paths.graph import ME, Graph, OwnLink
from pulse.core.paths.scores import MICRO, score
from pulse.core.paths.trees import Tree, grow
from pulse.core.types import LinkId, NodeId

MOST_RELAYS: Final = 12
"""Neighbours whose own tree is grown; a hub with hundreds of neighbours has ways enough through these."""

MOST_ADJACENT: Final = 8
"""Neighbours with a link of their own to a node that are ways to it, the nearest: in a dense mesh nearly all are."""

NO_TREE: Final = -1


class Way(NamedTuple):
    """One way to a node, by the neighbour that comes first; ways of one node sort by score, then by neighbour."""

    score: float
    neighbour: NodeId
    direct: bool
    """That neighbour is the node itself."""
    last: bool
    """It counts for the neighbour's own link to the node, and for that alone."""
    latency: float
    """Round trip in seconds, from end to end."""
    loss: float
    link: LinkId
    """Our link with that neighbour."""
    tree: int
    """Which tree holds what follows the neighbour; `NO_TREE` if nothing but the node itself does."""


@dataclass(frozen=True, slots=True)
class Survey:
    """The ways of one graph."""

    graph: Graph
    mine: Tree
    """Our own shortest paths, beyond the first link."""
    trees: list[Tree]
    """Ours, then those of the relays, then those of detours."""
    ways: list[list[Way]]
    """The ways to each number, in no order."""

    def route(self, way: Way, number: int) -> tuple[NodeId, ...]:
        """Every node on the way, the last one included."""
        nodes = self.graph.nodes
        if way.tree != NO_TREE:
            return tuple(nodes[each] for each in self.trees[way.tree].path(number))
        return (nodes[number],) if way.direct else (way.neighbour, nodes[number])

    def pinned(self, number: int, via: NodeId) -> Way | None:
        """The way to a node by a neighbour that a person chose: over a link of its own, if it has one, and no other."""
        graph = self.graph
        for first, _, rtt, loss in graph.links[number]:
            if graph.nodes[first] == via and first in graph.own:
                return _last_way(graph, first, rtt, loss)
        return next((way for way in self.ways[number] if way.neighbour == via), None)

    def detours(self, numbers: Collection[int], shunned: Collection[NodeId]) -> Iterator[tuple[int, Way]]:
        """A way to each of these that begins with none of the shunned neighbours, where there is one."""
        graph, direct = self.graph, self.mine
        around = grow(graph, ((reach, n) for n, reach in _first_links(graph) if graph.nodes[n] not in shunned))
        self.trees.append(around)
        wanted = set(numbers)
        for number in around.order:
            first = around.roots[number]
            if number == first or number not in wanted:
                continue
            rest = around.costs[number] - around.costs[first]
            if rest < direct.costs[first] + direct.costs[number]:
                yield number, _way(graph, graph.own[first], first, around, number, len(self.trees) - 1)


def survey(graph: Graph, wanted: Collection[NodeId] = ()) -> Survey:
    """Look at a graph from where we stand; the trees of these neighbours are wanted first."""
    mine = grow(graph, ((reach, number) for number, reach in _first_links(graph)))
    relays = _relays(graph, wanted)
    trees = [mine, *(grow(graph, [(0, relay)], mine.costs) for relay in relays)]
    ways: list[list[Way]] = [[] for _ in graph.nodes]
    for number, link in graph.own.items():
        one_hop = score(link.rtt, link.loss, 1)
        ways[number].append(Way(one_hop, graph.nodes[number], True, False, link.rtt, link.loss, link.link, NO_TREE))
    for place, relay in enumerate(relays, start=1):
        tree, link = trees[place], graph.own[relay]
        for number in islice(tree.order, 1, None):
            ways[number].append(_way(graph, link, relay, tree, number, place))
    grown = set(relays)
    for number in mine.order:
        first = mine.roots[number]
        if first != number and first not in grown:
            ways[number].append(_way(graph, graph.own[first], first, mine, number, 0))
    _add_adjacent(graph, mine, ways)
    return Survey(graph, mine, trees, ways)


def _add_adjacent(graph: Graph, mine: Tree, ways: list[list[Way]]) -> None:
    own, nodes = graph.own, graph.nodes
    for number in range(1, len(nodes)):
        near = [edge for edge in graph.links[number] if edge[0] in own]
        if not near:
            continue
        closer = {way.neighbour for way in ways[number]}
        further = (edge for edge in near if nodes[edge[0]] not in closer)
        best = nsmallest(MOST_ADJACENT, further, key=lambda edge: (mine.costs[edge[0]] + edge[1], edge[0]))
        ways[number] += [_last_way(graph, first, rtt, loss) for first, _, rtt, loss in best]


def _first_links(graph: Graph) -> Iterator[tuple[int, int]]:
    """Our neighbours' numbers and what the link to each costs."""
    return ((edge[0], edge[1]) for edge in graph.links[ME])


def _relays(graph: Graph, wanted: Collection[NodeId]) -> list[int]:
    """The neighbours worth a tree: those wanted, then those with the most links, of equals the nearest."""
    ranked = sorted(
        (graph.nodes[number] not in wanted, -len(graph.links[number]), reach, number)
        for number, reach in _first_links(graph)
    )
    return [number for _, links, _, number in ranked if links < -1][:MOST_RELAYS]


def _last_way(graph: Graph, first: int, rtt: int, loss: int) -> Way:
    link = graph.own[first]
    latency, lost = link.rtt + rtt / MICRO, 1 - (1 - link.loss) * (MICRO - loss) / MICRO
    return Way(score(latency, lost, 2), graph.nodes[first], False, True, latency, lost, link.link, NO_TREE)


def _way(graph: Graph, link: OwnLink, first: int, tree: Tree, number: int, place: int) -> Way:
    latency = link.rtt + tree.rtts[number] / MICRO
    lost = 1 - (1 - link.loss) * tree.kept[number]
    ranked = score(latency, lost, tree.hops[number] + 1)
    return Way(ranked, graph.nodes[first], False, False, latency, lost, link.link, place)
