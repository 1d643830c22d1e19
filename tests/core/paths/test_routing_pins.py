"""Routing with pins: what a person chose goes before scores, and never before what works."""

from pulse.core.effects import Hop, Log
from pulse.core.paths.holds import FIRST
from pulse.core.paths.news import RoutesChanged
from pulse.core.paths.pins import Standing
from pulse.core.paths.shares import FULL_SHARE
from tests.core.paths.atlas import Atlas, Mind, diamond, link, triangle, who

CHANGED = RoutesChanged()


def test_a_pin_goes_before_better_ways_and_the_best_of_these_is_the_backup() -> None:
    mind = diamond(10.0, 40.0)
    assert mind.best(3) == 1

    told = mind.pinned((3, 2))

    assert CHANGED in told
    assert mind.hops(3) == (Hop(link(2), FULL_SHARE, last=True), Hop(link(1), 0, last=mind.hops(3)[1].last))
    assert mind.standing(3) is Standing.FOLLOWED
    path = mind.routing.path_to(who(3))
    assert path is not None
    assert path.hops == (who(2), who(3))
    assert mind.shares(1) == diamond(10.0, 40.0).shares(1), "other nodes are reached as before"

    assert CHANGED in mind.pinned()
    assert mind.best(3) == 1
    assert mind.standing(3) is None


def test_a_relay_goes_before_a_direct_link_if_it_is_pinned_and_the_other_way_round() -> None:
    mind = triangle(direct=5.0, first=50.0, second=50.0)
    mind.pinned((1, 2))
    assert mind.hops(1) == (Hop(link(2), FULL_SHARE, last=True), Hop(link(1), 0))

    mind = triangle(direct=500.0)
    assert mind.best(1) == 2
    mind.pinned((1, 1))
    assert mind.hops(1) == (Hop(link(1), FULL_SHARE), Hop(link(2), 0))
    assert mind.standing(1) is Standing.FOLLOWED


def test_a_neighbour_without_a_link_to_the_node_may_be_pinned_if_it_is_closer() -> None:
    mind = Mind(Atlas().join(0, 1, ms=5).join(0, 2, ms=10).join(1, 3).join(2, 4).join(3, 5).join(4, 5))
    mind.pinned((5, 2))

    assert mind.hops(5)[0] == Hop(link(2), FULL_SHARE)
    assert mind.standing(5) is Standing.FOLLOWED


def test_a_neighbour_that_could_send_back_to_us_is_not_followed() -> None:
    mind = Mind(Atlas().join(0, 1).join(1, 2).join(0, 3))
    before = mind.hops(2)
    told = mind.pinned((2, 3))

    assert mind.hops(2) == before
    assert mind.standing(2) is Standing.NO_WAY
    assert [log.event for log in told if isinstance(log, Log)] == ["pin not followed"]


def test_a_pin_does_not_make_a_detour_of_a_neighbour() -> None:
    mind = Mind(Atlas().join(0, 1).join(1, 2).join(0, 3, ms=40).join(3, 4, ms=40).join(4, 2))
    mind.pinned((2, 3))
    assert mind.standing(2) is Standing.NO_WAY

    mind.path_suspected(2, 1)
    mind.passed()
    assert mind.best(2) == 3, "it serves for want of another"
    assert mind.standing(2) is Standing.NO_WAY


def test_a_pin_to_a_node_we_have_no_link_with_waits_for_it() -> None:
    mind = triangle()
    mind.pinned((1, 77), (2, 77), (78, 2))
    assert [mind.standing(node) for node in (1, 2, 78)] == [Standing.NOT_LINKED, Standing.NOT_LINKED, Standing.NO_WAY]
    assert mind.best(1) == 1

    atlas = Atlas().join(0, 1, ms=20).join(0, 2, ms=15).join(1, 2, ms=15).join(0, 77).join(1, 77)
    mind.told(atlas.record(1))
    mind.told(atlas.record(77))
    mind.opened(77)
    told = mind.passed(1.0)
    assert mind.hops(1)[0] == Hop(link(77), FULL_SHARE, last=True)
    assert mind.standing(1) is Standing.FOLLOWED
    assert "pin followed" in [log.event for log in told if isinstance(log, Log)]


def test_a_pinned_way_that_fails_is_left_and_taken_up_again_once_its_hold_is_over() -> None:
    mind = diamond(10.0, 40.0)
    mind.pinned((3, 2))
    mind.link_suspected(2)
    told = mind.passed()
    assert mind.best(3) == 1
    assert mind.standing(3) is Standing.FAILED
    assert ("pin not followed", "failed") in [
        (log.event, log.fields.get("reason")) for log in told if isinstance(log, Log)
    ]

    mind.link_suspected(2, suspect=False)
    mind.passed(FIRST - 1)
    assert mind.best(3) == 1
    mind.passed(1.0)
    assert mind.best(3) == 2
    assert mind.standing(3) is Standing.FOLLOWED


def test_a_pinned_way_that_comes_and_goes_does_not_take_the_flows_along_each_time() -> None:
    mind, changes = diamond(10.0, 40.0), 0
    mind.pinned((3, 2))
    best = mind.best(3)
    for _ in range(60):
        mind.link_suspected(2)
        mind.passed(2.0)
        mind.link_suspected(2, suspect=False)
        mind.passed(8.0)
        changes += mind.best(3) != best
        best = mind.best(3)

    assert changes <= 4


def test_a_pin_whose_neighbour_goes_away_says_so_and_is_followed_when_it_is_back() -> None:
    mind = diamond(10.0, 40.0)
    mind.pinned((3, 2))
    mind.closed(2)
    mind.passed()
    assert mind.best(3) == 1
    assert mind.standing(3) is Standing.NOT_LINKED

    mind.opened(2)
    mind.passed(FIRST + 1)
    assert mind.best(3) == 2
    assert mind.standing(3) is Standing.FOLLOWED


def test_of_suspect_ways_the_pinned_one_is_used() -> None:
    mind = diamond(10.0, 40.0)
    mind.pinned((3, 2))
    for first in (1, 2):
        mind.link_suspected(first)
    mind.passed()

    assert mind.best(3) == 2


def test_a_pin_in_a_crowd_of_neighbours_is_found_though_they_are_more_than_are_weighed() -> None:
    atlas = Atlas()
    for first in range(1, 41):
        atlas.join(0, first, ms=10 + first).join(first, 99)
    mind = Mind(atlas)
    mind.pinned((99, 40))

    assert mind.best(99) == 40
    assert mind.standing(99) is Standing.FOLLOWED


def test_a_pin_changes_nothing_as_time_goes_by() -> None:
    mind = diamond(10.0, 40.0)
    mind.pinned((3, 2))
    for ms in (10.0, 5.0, 90.0, 4.0, 12.0) * 6:
        mind.measured(1, ms)
        assert CHANGED not in mind.passed(1.0)
        assert mind.best(3) == 2
