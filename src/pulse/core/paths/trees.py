"""Shortest paths by additive cost (Dijkstra 1959), with the figures of each path on the side.

Invariant: no path leads through ourselves.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from heapq import heappop, heappush
from typing import Final

from pulse.core.paths.graph import ME, Edge, Graph
from pulse.core.paths.scores import MICRO

FAR: Final = 1 << 62
"""A cost no path has."""


@dataclass(frozen=True, slots=True)
class Tree:
    """The shortest paths from one root, or from several that have a head start each."""

    order: list[int]
    """The nodes reached, nearest first."""
    costs: list[int]
    """Distance of each node; of one not reached the limit that was set."""
    parents: list[int]
    """The node before each on its path; a root is its own."""
    roots: list[int]
    """Where the path of each node begins."""
    rtts: list[int]
    """Round trip in µs from the root."""
    kept: list[float]
    """Share of packets that arrive from the root."""
    hops: list[int]
    """Links from the root."""

    def path(self, node: int) -> list[int]:
        """From the root to `node`, both included."""
        path = [node]
        while self.parents[node] != node:
            node = self.parents[node]
            path.append(node)
        return path[::-1]


def grow(graph: Graph, roots: Iterable[tuple[int, int]], limits: Sequence[int] | None = None) -> Tree:
    """The tree over `roots`, each a head start and a node; only nodes closer than their limit are reached.

    With the limits set to our own distances this stops early: what lies behind a node that is not closer than we
    are is not closer either.
    """
    size = len(graph.nodes)
    tree = Tree([], [FAR] * size if limits is None else list(limits), *_blank(size))
    order, costs, parents = tree.order, tree.costs, tree.parents
    edges: list[Edge | None] = [None] * size
    heap: list[tuple[int, int]] = []
    costs[ME] = 0
    for start, root in roots:
        if start < costs[root]:
            costs[root], parents[root] = start, root
            heappush(heap, (start, root))
    links = graph.links
    while heap:
        reached, node = heappop(heap)
        if reached > costs[node]:
            continue
        order.append(node)
        _settle(tree, node, edges[node])
        for edge in links[node]:
            longer = reached + edge[1]
            other = edge[0]
            if longer < costs[other]:
                costs[other], parents[other], edges[other] = longer, node, edge
                heappush(heap, (longer, other))
    return tree


def _blank(size: int) -> tuple[list[int], list[int], list[int], list[float], list[int]]:
    return list(range(size)), list(range(size)), [0] * size, [1.0] * size, [0] * size


def _settle(tree: Tree, node: int, edge: Edge | None) -> None:
    if edge is None:
        return
    parent = tree.parents[node]
    tree.roots[node] = tree.roots[parent]
    tree.rtts[node] = tree.rtts[parent] + edge[2]
    tree.kept[node] = tree.kept[parent] * (MICRO - edge[3]) / MICRO
    tree.hops[node] = tree.hops[parent] + 1
