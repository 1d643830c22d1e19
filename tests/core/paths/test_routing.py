"""Routing: from links to tables, and how they change."""

from itertools import pairwise

import pytest

from pulse.core.effects import DEBUG, Hop, Log
from pulse.core.paths.doubts import STANDING
from pulse.core.paths.holds import FIRST
from pulse.core.paths.news import RoutesChanged
from pulse.core.paths.routing import PACE
from pulse.core.paths.shares import FULL_SHARE
from pulse.core.types import LinkId
from tests.core.paths.atlas import Atlas, Mind, diamond, link, record, triangle, who

CHANGED = RoutesChanged()


# Routes and paths


def test_a_neighbour_is_reached_by_its_link_with_a_relay_as_backup() -> None:
    assert triangle().hops(1) == (Hop(link(1), FULL_SHARE), Hop(link(2), 0))


def test_a_neighbour_as_far_as_we_are_passes_on_over_its_own_link_only() -> None:
    assert triangle(direct=10.0).hops(1)[1] == Hop(link(2), 0, last=True)


def test_flows_are_spread_over_relays_by_what_they_are_worth() -> None:
    shares = diamond(10.0, 30.0).shares(3)

    assert list(shares) == [1, 2]
    assert shares == {1: FULL_SHARE, 2: FULL_SHARE // 2}


def test_a_node_nothing_leads_to_has_no_route() -> None:
    mind = Mind(Atlas().join(0, 1).join(2, 3))

    assert mind.hops(2) == ()
    assert mind.routing.path_to(who(2)) is None
    assert set(mind.routing.routes()) == {who(1)}


def test_the_path_to_a_neighbour_is_direct() -> None:
    path = triangle().routing.path_to(who(1))

    assert path is not None
    assert path.direct
    assert (path.link, path.via, path.hops) == (link(1), None, (who(1),))
    assert (path.latency, path.loss) == (0.02, 0.0)
    assert path.score == pytest.approx(26.0)


def test_the_path_to_a_node_further_off_names_everybody_on_it() -> None:
    mind = Mind(Atlas().join(0, 1, ms=10).join(1, 2, ms=10, loss=0.2).join(2, 3, ms=10))
    path = mind.routing.path_to(who(3))

    assert path is not None
    assert not path.direct
    assert (path.link, path.via, path.hops) == (link(1), who(1), (who(1), who(2), who(3)))
    assert path.latency == pytest.approx(0.03)
    assert path.loss == pytest.approx(0.2)
    assert path.score == pytest.approx(30 * 2.0 * 1.9)


# Changes that matter


def test_the_first_routes_are_a_change_and_the_same_ones_are_none() -> None:
    mind = Mind(Atlas())
    mind.opened(1)
    assert mind.passed() == [CHANGED]
    mind.measured(1, 20.0)

    assert mind.passed(5.0) == []


def test_a_node_that_cannot_be_reached_any_more_is_a_change() -> None:
    mind = triangle()
    mind.closed(1)
    mind.closed(2)

    assert CHANGED in mind.passed()
    assert mind.routing.routes() == {}


def test_weights_that_moved_a_little_are_no_change_until_they_add_up() -> None:
    mind = diamond(10.0, 30.0)
    assert mind.shares(3)[2] == 500
    mind.measured(2, 24.0)
    assert CHANGED not in mind.passed(5.0)
    assert mind.shares(3)[2] == 500

    mind.measured(2, 14.0)
    assert CHANGED not in mind.passed(1.5)
    assert CHANGED in mind.passed(1.0)
    assert mind.shares(3)[2] == 833


def test_a_link_that_takes_the_place_of_another_is_a_change() -> None:
    mind = triangle()
    mind.opened(1, LinkId(9001))
    mind.closed(1)

    assert CHANGED in mind.passed()
    assert mind.hops(1)[0] == Hop(LinkId(9001), FULL_SHARE)


# Relay, direct, relay


def test_a_direct_link_is_used_as_soon_as_it_is_up_and_the_relay_when_it_goes() -> None:
    mind = Mind(Atlas().join(0, 2).join(1, 2))
    assert mind.best(1) == 2

    mind.opened(1)
    said = mind.passed()
    assert said == [Log("path changed", DEBUG, {"node": who(1)[:12], "via": ""}), CHANGED]
    assert mind.best(1) == 1

    mind.closed(1)
    said = mind.passed()
    assert said == [Log("path changed", DEBUG, {"node": who(1)[:12], "via": who(2)[:12]}), CHANGED]
    assert mind.best(1) == 2


def test_a_better_relay_is_taken_after_three_samples_a_second_apart() -> None:
    mind = diamond(10.0, 20.0)
    mind.measured(1, 100.0)

    mind.passed(0.0)
    best = [mind.best(3)]
    for _ in range(3):
        mind.passed(1.0)
        best.append(mind.best(3))
    assert best == [1, 1, 2, 2]


def test_while_a_change_of_mind_is_on_hold_it_wakes_by_itself() -> None:
    mind = diamond(10.0, 20.0)
    mind.measured(1, 100.0)
    mind.passed(5.0)
    mind.measured(1, 5.0)
    mind.passed(1.0)
    assert mind.best(3) == 2

    mind.passed(FIRST + 3.0)
    assert mind.best(3) == 1


# Suspicion


def test_a_suspect_link_is_left_at_once_by_everybody_behind_it() -> None:
    mind = diamond(10.0, 20.0)
    mind.link_suspected(1)
    mind.passed()

    assert mind.shares(3) == {2: FULL_SHARE, 1: 0}
    assert mind.shares(1) == {2: FULL_SHARE, 1: 0}


def test_a_flapping_link_is_held_down_twice_as_long_each_time() -> None:
    mind, held = diamond(10.0, 20.0), []
    for _ in range(4):
        mind.link_suspected(1)
        mind.passed()
        left = mind.now
        mind.link_suspected(1, suspect=False)
        mind.passed()
        while mind.shares(3)[1] == 0:
            mind.passed(1.0)
        held.append(round(mind.now - left))

    assert held == [8, 16, 32, 64]


def test_a_link_that_goes_and_comes_is_held_down_too() -> None:
    mind = triangle()
    mind.closed(1)
    mind.passed()
    mind.opened(1)
    mind.passed(1.0)
    assert mind.best(1) == 2

    mind.passed(FIRST)
    assert mind.best(1) == 1


def test_a_suspect_path_is_left_for_that_node_alone() -> None:
    mind = diamond(10.0, 20.0)
    mind.path_suspected(3, 1)
    assert CHANGED in mind.passed()

    assert mind.shares(3) == {2: FULL_SHARE, 1: 0}
    assert mind.best(1) == 1

    mind.path_suspected(3, 1, suspect=False)
    mind.passed(FIRST)
    assert mind.shares(3)[1] > 0


def test_a_suspicion_nobody_takes_back_is_put_to_the_test_in_the_end() -> None:
    mind = diamond(10.0, 20.0)
    mind.path_suspected(3, 1)
    mind.passed(STANDING - 1)
    assert mind.shares(3)[1] == 0

    mind.passed(1.0)
    assert mind.shares(3)[1] > 0


def test_many_suspicions_in_a_row_are_weighed_together() -> None:
    mind = Mind(Atlas({(0, first): (0.01, 0.0) for first in range(1, 101)}))
    mind.path_suspected(1, 1)
    mind.passed()
    mind.path_suspected(2, 2)
    assert mind.routing.deadline() == mind.now

    mind.passed(0.0)
    mind.path_suspected(3, 3)
    assert mind.routing.deadline() == mind.now + PACE * 100


def test_a_suspicion_of_a_link_nobody_has_changes_nothing() -> None:
    mind = diamond()
    mind.path_suspected(3, 77)

    assert mind.routing.deadline() is None


def test_when_everything_is_suspect_the_best_is_used_anyway() -> None:
    mind = diamond(10.0, 20.0)
    mind.link_suspected(1)
    mind.link_suspected(2)
    mind.passed()

    assert mind.best(3) == 1
    assert all(mind.shares(3).values())


def test_where_all_regular_ways_are_suspect_a_detour_serves() -> None:
    mind = Mind(Atlas().join(0, 1).join(1, 2).join(0, 3, ms=40).join(3, 4, ms=40).join(4, 2))
    assert mind.shares(2) == {1: FULL_SHARE}

    mind.path_suspected(2, 1)
    mind.passed()
    assert mind.shares(2) == {3: FULL_SHARE, 1: 0}
    path = mind.routing.path_to(who(2))
    assert path is not None
    assert path.hops == (who(3), who(4), who(2))

    mind.path_suspected(2, 1, suspect=False)
    mind.passed(FIRST)
    assert mind.shares(2) == {1: FULL_SHARE}


# News from afar


def test_a_link_of_others_that_went_is_routed_around() -> None:
    mind = diamond(10.0, 20.0)
    mind.told(record(1, {0: (0.01, 0.0)}))

    assert CHANGED in mind.passed(1.0)
    assert mind.shares(3) == {2: FULL_SHARE}


# Links that are not the same from both ends


def test_two_ends_that_measure_the_same_two_ways_differently_each_stay_with_theirs() -> None:
    atlas = Atlas().join(0, 1, ms=10).join(0, 2, ms=12).join(1, 3, ms=12).join(2, 3, ms=10)
    ends = [Mind(atlas, 0), Mind(atlas, 3)]
    best = [ends[0].best(3), ends[1].best(0)]
    changes = 0
    for turn in range(600):
        # To one end the first relay is the nearer, to the other the second, and both see jitter of half a millisecond.
        ends[0].measured(1, 10 + turn % 2 / 2)
        ends[0].measured(2, 30)
        ends[1].measured(1, 30 - turn % 2 / 2)
        ends[1].measured(2, 10)
        for end in ends:
            end.passed(1.0)
        now = [ends[0].best(3), ends[1].best(0)]
        changes += now != best
        best = now

    assert best == [1, 2]
    assert changes <= 1


def test_a_link_that_loses_one_way_only_costs_both_ends_the_same() -> None:
    # Node 1 hears a third of what node 0 sends and says so; node 0 hears everything.
    atlas = Atlas().join(0, 1, ms=10).join(0, 2, ms=14).join(1, 3, ms=10).join(2, 3, ms=14)
    mind = Mind(atlas)
    assert mind.best(3) == 1
    lossy = Atlas().join(0, 1, ms=10, loss=0.67).join(1, 3, ms=10)
    mind.told(lossy.record(1))
    mind.measured(1, 10, 0.67)
    changes = []
    for _ in range(120):
        mind.passed(1.0)
        changes.append(mind.best(3))

    assert changes[-1] == 2
    assert sum(one != other for one, other in pairwise(changes)) <= 1
