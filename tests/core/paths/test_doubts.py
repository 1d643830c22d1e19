"""Doubts: what failed goes behind what did not."""

import pytest

from pulse.core.paths import doubts
from pulse.core.paths.doubts import STANDING, Doubt, Doubts
from pulse.core.paths.graph import OwnLink
from pulse.core.paths.holds import CALM, FIRST
from pulse.core.paths.ways import NO_TREE, Way
from pulse.core.types import NodeId
from tests.core.paths.atlas import link, number, who

FAR = 9


def way(by: int, score: float = 10.0) -> Way:
    return Way(score, who(by), False, False, score / 1000, 0.0, link(by), NO_TREE)


WAYS = [way(1), way(2), way(3)]


def links(*numbers: int, suspect: tuple[int, ...] = ()) -> dict[NodeId, OwnLink]:
    return {who(each): OwnLink(link(each), 0.01, 0.0, each in suspect) for each in numbers}


def order(doubted: Doubts, now: float, most: int = 9) -> tuple[list[int], list[int]]:
    """The neighbours of the ways to be used, and of those that come next."""
    doubted.passed(now)
    fit, rest = doubted.sorted_out(who(FAR), WAYS, most)
    return [number(each.neighbour) for each in fit], [number(each.neighbour) for each in rest]


def test_without_doubts_all_ways_are_fit() -> None:
    assert order(Doubts(), 0.0) == ([1, 2, 3], [])


def test_a_suspect_link_goes_behind_at_once_and_comes_back_after_its_hold() -> None:
    doubted = Doubts()
    doubted.links_seen({}, links(1, 2, 3, suspect=(1,)), 0.0)
    assert order(doubted, 0.0) == ([2, 3], [1])
    doubted.links_seen(links(1, 2, 3), links(1, 2, 3), 1.0)

    assert order(doubted, FIRST - 1) == ([2, 3], [1])
    assert doubted.next_change(FIRST - 1) == FIRST
    assert order(doubted, FIRST) == ([1, 2, 3], [])


def test_a_link_that_was_lost_is_held_when_it_is_back() -> None:
    doubted = Doubts()
    doubted.links_seen(links(1, 2, 3), links(2, 3), 0.0)
    doubted.links_seen(links(2, 3), links(1, 2, 3), 2.0)

    assert order(doubted, 2.0) == ([2, 3], [1])


def test_a_link_that_came_first_or_was_replaced_is_trusted() -> None:
    doubted = Doubts()
    doubted.links_seen({}, links(1), 0.0)
    doubted.links_seen(links(1), {who(1): OwnLink(link(77), 0.01, 0.0, False)}, 0.0)

    assert order(doubted, 0.0) == ([1, 2, 3], [])


def test_a_way_held_goes_before_one_suspect() -> None:
    doubted = Doubts()
    doubted.links_seen(links(1, 2), links(1, 2, suspect=(1, 2)), 0.0)
    doubted.links_seen(links(1, 2), links(1, 2, suspect=(1,)), 0.0)
    doubted.path_suspected(who(FAR), who(3), True, 0.0)

    assert order(doubted, 0.0) == ([2], [1, 3])
    assert not doubted.all_suspect(who(FAR), WAYS)


def test_where_all_are_suspect_all_are_fit_and_it_is_known() -> None:
    doubted = Doubts()
    doubted.links_seen({}, links(1, 2, suspect=(1, 2)), 0.0)
    doubted.path_suspected(who(FAR), who(3), True, 0.0)

    assert order(doubted, 0.0) == ([1, 2, 3], [])
    assert doubted.all_suspect(who(FAR), WAYS)
    assert doubted.shunned(who(FAR)) == {who(1), who(2), who(3)}
    assert doubted.shunned(who(8)) == {who(1), who(2)}


def test_nothing_is_suspect_of_a_node_nobody_complained_about() -> None:
    doubted = Doubts()
    doubted.path_suspected(who(8), who(1), True, 0.0)

    assert order(doubted, 0.0) == ([1, 2, 3], [])
    assert not doubted.all_suspect(who(FAR), WAYS)


def test_a_suspect_path_is_news_once_and_so_is_its_recovery() -> None:
    doubted = Doubts()

    assert [
        doubted.path_suspected(who(FAR), who(1), suspect, 0.0) for suspect in (False, True, True, False, False)
    ] == [
        False,
        True,
        False,
        True,
        False,
    ]


def test_a_suspicion_of_a_path_nobody_uses_any_more_ends_by_itself() -> None:
    doubted = Doubts()
    doubted.path_suspected(who(FAR), who(1), True, 0.0)

    assert order(doubted, STANDING - 1) == ([2, 3], [1])
    assert order(doubted, STANDING) == ([1, 2, 3], [])


@pytest.mark.parametrize("gone", [True, False], ids=["after a while", "beside itself"])
def test_a_new_link_is_held_for_what_was_said_of_the_paths_over_the_old_one_but_not_suspect(gone: bool) -> None:
    doubted = Doubts()
    doubted.links_seen({}, links(1, 2, 3), 0.0)
    for first in (1, 2, 3):
        doubted.path_suspected(who(FAR), who(first), True, 0.0)
    assert order(doubted, 1.0) == ([1, 2, 3], [])

    anew = {**links(1, 2, 3), who(1): OwnLink(link(7), 0.01, 0.0, False)}
    doubted.links_seen(links(2, 3) if gone else links(1, 2, 3), anew, 1.0)

    assert order(doubted, 1.0) == ([1], [2, 3])


def test_only_so_many_ways_are_weighed_the_best_ones() -> None:
    doubted = Doubts()
    crowd = [way(by, score=100.0 - by) for by in range(1, 9)]

    fit, _ = doubted.sorted_out(who(FAR), crowd, 3)
    assert [number(each.neighbour) for each in fit] == [8, 7, 6]


def test_what_is_remembered_is_bounded_and_the_oldest_is_trusted_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doubts, "MOST_DOUBTS", 2)
    doubted = Doubts()
    for first in (1, 2, 3):
        doubted.path_suspected(who(FAR), who(first), True, 0.0)

    assert order(doubted, 0.0) == ([1], [2, 3])


def test_what_stayed_calm_is_forgotten() -> None:
    doubted = Doubts()
    doubted.path_suspected(who(FAR), who(1), True, 0.0)
    doubted.path_suspected(who(FAR), who(1), False, 0.0)
    assert order(doubted, FIRST + 2 * CALM) == ([1, 2, 3], [])

    assert doubted.next_change(0.0) is None


# One doubt


def test_what_works_again_is_held_until_its_time_is_over() -> None:
    doubt = Doubt()
    doubt.raised(0.0)
    assert doubt.is_suspect(1.0)
    doubt.cleared()

    assert not doubt.is_suspect(1.0)
    assert doubt.is_held(FIRST - 1)
    assert not doubt.is_held(FIRST)


def test_a_suspicion_nobody_takes_back_ends_by_itself_and_longer_holds_outlast_it() -> None:
    doubt, now = Doubt(), 0.0
    doubt.raised(now)
    assert doubt.next_change(now) == FIRST
    assert doubt.next_change(FIRST) == STANDING
    assert doubt.is_suspect(STANDING - 1)
    assert not doubt.is_suspect(STANDING)

    for _ in range(4):
        now += STANDING + 5
        doubt.raised(now)
    assert doubt.is_suspect(now + 2 * STANDING)
    assert doubt.next_change(now + STANDING) == now + 16 * FIRST


def test_that_a_way_still_fails_is_no_second_failure() -> None:
    doubt = Doubt()
    doubt.raised(0.0)
    doubt.raised(1.0)
    doubt.cleared()

    assert not doubt.is_held(FIRST)


def test_each_failure_after_a_recovery_is_held_longer() -> None:
    doubt, held = Doubt(), []
    for again in range(4):
        now = again * 100.0
        doubt.raised(now)
        doubt.cleared()
        held.append(next(after for after in range(1000) if not doubt.is_held(now + after)))

    assert held == [8, 16, 32, 64]


def test_a_doubt_is_forgotten_once_nothing_is_held_against_the_way() -> None:
    doubt = Doubt()
    assert doubt.is_forgotten(0.0)
    doubt.raised(0.0)

    assert not doubt.is_forgotten(1.0)
    assert doubt.is_forgotten(FIRST + CALM + 1)
    assert doubt.next_change(FIRST + CALM + 1) is None
