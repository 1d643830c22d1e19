"""Ways: whom we may ask to pass on what, and how good that is."""

import itertools

import pytest
from hypothesis import given

from pulse.core.paths import ways
from pulse.core.paths.graph import ME
from pulse.core.paths.scores import score
from pulse.core.paths.trees import grow
from pulse.core.paths.ways import Survey, Way, survey
from tests.core.paths.atlas import Atlas, number, who
from tests.core.paths.drawn import atlases


def place(seen: Survey, node: int) -> int:
    return seen.graph.nodes.index(who(node))


def ways_to(seen: Survey, node: int) -> dict[int, Way]:
    """The ways to a node by the neighbour that comes first."""
    found = seen.ways[place(seen, node)]
    assert len({way.neighbour for way in found}) == len(found)
    return {number(way.neighbour): way for way in sorted(found)}


def route(seen: Survey, way: Way, node: int) -> list[int]:
    return [number(each) for each in seen.route(way, place(seen, node))]


def test_a_neighbour_is_reached_directly_and_over_those_closer_to_it() -> None:
    seen = survey(Atlas().join(0, 1, ms=100).join(0, 2, ms=10).join(1, 2, ms=20).graph())
    found = ways_to(seen, 1)

    assert found[1].direct
    assert found[1].score == pytest.approx(score(0.1, 0.0, 1))
    assert not found[2].direct
    assert found[2].score == pytest.approx(score(0.03, 0.0, 2))
    assert route(seen, found[1], 1) == [1]
    assert route(seen, found[2], 1) == [2, 1]


def test_a_neighbour_that_is_not_closer_passes_on_over_its_own_link_only() -> None:
    seen = survey(Atlas().join(0, 1, ms=10).join(0, 2, ms=10).join(1, 2, ms=50).join(1, 3, ms=50).graph())

    assert ways_to(seen, 1)[2].last
    assert route(seen, ways_to(seen, 1)[2], 1) == [2, 1]
    assert set(ways_to(seen, 3)) == {1}


def test_a_neighbour_that_is_closer_may_choose_for_itself() -> None:
    seen = survey(Atlas().join(0, 1, ms=10).join(1, 2, ms=10).join(2, 3, ms=10).graph())
    way = ways_to(seen, 3)[1]

    assert not way.last
    assert route(seen, way, 3) == [1, 2, 3]
    assert way.latency == pytest.approx(0.03)


def test_losses_of_a_path_multiply() -> None:
    seen = survey(Atlas().join(0, 1, loss=0.2).join(1, 2, loss=0.6).graph())

    assert ways_to(seen, 2)[1].loss == pytest.approx(1 - 0.8 * 0.4)


def test_of_many_neighbours_the_best_linked_have_trees_and_nobody_is_lost_behind_the_others(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(ways, "MOST_RELAYS", 1)
    atlas = Atlas().join(0, 1).join(0, 2).join(1, 3).join(1, 4).join(1, 5).join(2, 6).join(6, 7, ms=5)
    seen = survey(atlas.graph())

    assert len(seen.trees) == 2
    assert route(seen, ways_to(seen, 7)[2], 7) == [2, 6, 7]
    assert route(seen, ways_to(seen, 3)[1], 3) == [1, 3]


@given(atlas=atlases())
def test_every_way_is_one_that_ends_no_frame_in_a_circle(atlas: Atlas) -> None:
    graph = atlas.graph()
    seen = survey(graph)
    reached = {graph.nodes.index(each) for each in graph.reached()}
    assert set(seen.mine.order) == reached

    trees = {first: grow(graph, [(0, first)]).costs for first in graph.own}
    for node in range(1, len(graph.nodes)):
        assert bool(seen.ways[node]) is (node in reached)
        linked = {edge[0] for edge in graph.links[node]}
        expected = {
            first
            for first in graph.own
            if first == node or first in linked or trees[first][node] < seen.mine.costs[node]
        }
        assert {graph.nodes.index(way.neighbour) for way in seen.ways[node]} == expected
        for way in seen.ways[node]:
            first = graph.nodes.index(way.neighbour)
            assert way.direct is (first == node)
            assert way.last is (not way.direct and trees[first][node] >= seen.mine.costs[node])
            assert way.link == graph.own[first].link


@given(atlas=atlases())
def test_the_figures_of_a_way_are_those_of_its_route(atlas: Atlas) -> None:
    graph = atlas.graph()
    seen = survey(graph)
    for node in seen.mine.order:
        for way in seen.ways[node]:
            path = [ME, *(graph.nodes.index(each) for each in seen.route(way, node))]
            assert path[-1] == node
            links = [
                next(edge for edge in graph.links[one] if edge[0] == other) for one, other in itertools.pairwise(path)
            ]
            assert way.latency == pytest.approx(sum(edge[2] for edge in links) / 1e6)
            assert way.score == pytest.approx(score(way.latency, way.loss, len(links)))


def test_a_detour_leads_around_neighbours_to_shun_by_one_that_does_not_come_back() -> None:
    ring = Atlas().join(0, 1, ms=10).join(1, 2, ms=10).join(0, 3, ms=40).join(3, 4, ms=40).join(4, 2, ms=10)
    seen = survey(ring.graph())
    two = place(seen, 2)
    assert set(ways_to(seen, 2)) == {1}

    ((node, detour),) = seen.detours([two], {who(1)})

    assert node == two
    assert route(seen, detour, 2) == [3, 4, 2]
    assert detour.latency == pytest.approx(0.09)


def test_a_neighbour_whose_own_best_path_leads_back_through_us_is_no_detour() -> None:
    ring = Atlas().join(0, 1, ms=10).join(1, 2, ms=10).join(0, 3, ms=10).join(3, 4, ms=40).join(4, 2, ms=40)
    seen = survey(ring.graph())

    assert list(seen.detours([place(seen, 2)], {who(1)})) == []


def test_only_what_was_asked_for_gets_a_detour() -> None:
    seen = survey(Atlas().join(0, 1).join(0, 2).join(1, 3, ms=50).join(2, 3, ms=50).graph())

    assert [node for node, _ in seen.detours([place(seen, 3)], {who(1)})] == [place(seen, 3)]
