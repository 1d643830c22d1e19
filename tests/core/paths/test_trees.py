"""Trees: shortest paths, against a slower way to find them."""

import itertools

from hypothesis import given

from pulse.core.paths.graph import ME, Graph
from pulse.core.paths.trees import FAR, grow
from tests.core.paths.atlas import Atlas, who
from tests.core.paths.drawn import atlases


def slow(graph: Graph, root: int) -> list[int]:
    """Bellman-Ford from one root; no path leads through us."""
    costs = [FAR] * len(graph.nodes)
    costs[root] = 0
    for _ in graph.nodes:
        for one, links in enumerate(graph.links):
            for other, weight, _, _ in links:
                if ME not in (one, other):
                    costs[other] = min(costs[other], costs[one] + weight)
    costs[ME] = 0
    return costs


@given(atlas=atlases())
def test_the_tree_holds_the_shortest_paths(atlas: Atlas) -> None:
    graph = atlas.graph()
    for root in range(1, len(graph.nodes)):
        tree = grow(graph, [(0, root)])

        assert tree.costs == slow(graph, root)
        assert sorted(tree.order) == [node for node, reach in enumerate(tree.costs) if node != ME and reach < FAR]
        assert [tree.costs[node] for node in tree.order] == sorted(tree.costs[node] for node in tree.order)


@given(atlas=atlases())
def test_the_figures_are_those_of_the_path(atlas: Atlas) -> None:
    graph = atlas.graph()
    tree = grow(graph, [(0, 1)])
    for node in tree.order:
        path = tree.path(node)
        links = [next(edge for edge in graph.links[one] if edge[0] == other) for one, other in itertools.pairwise(path)]
        kept = 1.0
        for edge in links:
            kept *= 1 - edge[3] / 1_000_000

        assert path[0] == tree.roots[node] == 1
        assert tree.hops[node] == len(links)
        assert tree.rtts[node] == sum(edge[2] for edge in links)
        assert abs(tree.kept[node] - kept) < 1e-9


@given(atlas=atlases())
def test_a_limit_leaves_out_what_is_not_closer_and_nothing_else(atlas: Atlas) -> None:
    graph = atlas.graph()
    mine = grow(graph, [(edge[1], edge[0]) for edge in graph.links[ME]])
    for root in graph.own:
        whole, limited = grow(graph, [(0, root)]), grow(graph, [(0, root)], mine.costs)

        assert set(limited.order) == {node for node in whole.order if whole.costs[node] < mine.costs[node]}


def test_of_several_roots_each_node_has_the_nearest_head_start_counted() -> None:
    graph = Atlas().join(0, 1).join(0, 2).join(1, 3, ms=10).join(2, 3, ms=50).graph()
    place = {node: number for number, node in enumerate(graph.nodes)}

    near = grow(graph, [(0, place[who(1)]), (0, place[who(2)])])
    far = grow(graph, [(90_000, place[who(1)]), (0, place[who(2)])])

    assert near.path(place[who(3)]) == [place[who(1)], place[who(3)]]
    assert far.path(place[who(3)]) == [place[who(2)], place[who(3)]]
    assert far.path(place[who(1)]) == [place[who(2)], place[who(3)], place[who(1)]]


def test_a_root_named_twice_has_its_better_start() -> None:
    graph = Atlas().join(0, 1).graph()

    assert grow(graph, [(5, 1), (9, 1)]).costs[1] == 5
