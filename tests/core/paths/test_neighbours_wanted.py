"""Neighbours: nodes we want a link with are looked for wherever they say they are."""

from ipaddress import IPv4Network, IPv6Network

import pytest

from pulse.core.effects import Dial
from pulse.core.paths.backoff import FIRST
from pulse.core.paths.neighbours import HEALTHY_AFTER, MOST_DIALS
from tests.authority import node
from tests.core.paths.story import ALICE, BOB, HOME, WORK, Story

LAN = "192.168.1.2:443"


@pytest.fixture
def story() -> Story:
    return Story()


def race(story: Story, *candidates: str) -> list[Dial]:
    """Alice is wanted at these places, and the first moment has passed."""
    assert story.wanted({ALICE: candidates}) == []
    return story.passed(FIRST)


def lost(story: Story, *dials: Dial) -> list[Dial]:
    return [dial for each in dials for dial in story.failed(each)]


# The race


def test_all_candidates_of_a_wanted_node_are_raced_and_must_be_that_node(story: Story) -> None:
    assert race(story, HOME, WORK) == [Dial(1, HOME, ALICE), Dial(2, WORK, ALICE)]


def test_a_node_just_heard_of_is_not_fallen_upon_by_everybody_at_one_time(story: Story) -> None:
    assert story.wanted({ALICE: (HOME,)}) == []
    assert story.neighbours.deadline() == story.now + FIRST


def test_a_node_with_a_link_is_not_looked_for(story: Story) -> None:
    story.opened(ALICE)

    assert race(story, HOME) == []
    assert story.neighbours.deadline() is None


def test_a_link_settles_what_was_to_be_dialled_yet(story: Story) -> None:
    for place in range(MOST_DIALS - 1):
        story.configured(f"192.0.2.1:{1 + place}")
    (home,) = race(story, HOME, WORK)
    story.opened(ALICE, dial=home.attempt, observed=HOME)

    assert story.passed(3600.0) == []
    assert story.unreached() == sorted(f"192.0.2.1:{1 + place}" for place in range(MOST_DIALS - 1))


def test_a_new_round_begins_when_all_dials_of_the_last_have_failed_later_and_later(story: Story) -> None:
    waits, dials = [], race(story, HOME, WORK)
    for _ in range(4):
        assert story.failed(dials[0]) == []
        assert story.neighbours.deadline() is None
        assert story.failed(dials[1]) == []
        due = story.neighbours.deadline()
        assert due is not None
        waits.append(due - story.now)
        dials = story.passed(due - story.now)
        assert [dial.address for dial in dials] == [HOME, WORK]

    assert waits == [0.5, 1, 2, 4]


def test_places_that_find_no_room_are_dialled_when_there_is_some(story: Story) -> None:
    others = [dial for place in range(MOST_DIALS - 1) for dial in story.configured(f"192.0.2.1:{1 + place}")]
    assert [dial.address for dial in race(story, HOME, WORK)] == [HOME]

    assert [dial.address for dial in story.failed(others[0])] == [WORK]


def test_where_dials_are_short_the_best_candidate_of_everybody_goes_first(story: Story) -> None:
    fillers = [dial for place in range(MOST_DIALS) for dial in story.configured(f"192.0.2.1:{1 + place}")]
    story.wanted({ALICE: (HOME, "192.0.2.7:443"), BOB: (WORK, "192.0.2.8:443")})
    story.passed(FIRST)

    assert {dial.address for dial in lost(story, *fillers[:2])} == {HOME, WORK}


def test_a_failed_race_says_why(story: Story) -> None:
    (dial,) = race(story, HOME)
    story.failed(dial, "refused", "it refused the connection")

    (unreached,) = story.neighbours.unreached()
    assert (unreached.address, unreached.node, unreached.configured) == (HOME, ALICE, False)
    assert unreached.last_error == "it refused the connection"


def test_a_dial_that_met_the_neighbours_own_leaves_no_error(story: Story) -> None:
    (dial,) = race(story, HOME)
    link = story.opened(ALICE, observed=WORK)
    story.failed(dial, "duplicate", ALICE)

    story.closed(ALICE, link, "no echo")
    assert {each.last_error for each in story.neighbours.unreached()} == {"no echo"}


def test_a_healthy_link_that_breaks_is_wanted_back_at_once(story: Story) -> None:
    (dial,) = race(story, HOME)
    for _ in range(6):
        story.failed(dial)
        dial = story.until_next_dial()
    link = story.opened(ALICE, dial=dial.attempt, observed=HOME)
    story.now += HEALTHY_AFTER
    story.closed(ALICE, link, "no echo")

    before = story.now
    story.until_next_dial()
    assert story.now - before == FIRST


def test_a_link_that_goes_while_others_of_the_round_are_in_flight_is_looked_for_again(story: Story) -> None:
    home, work = race(story, HOME, WORK)
    link = story.opened(ALICE, dial=home.attempt, observed=HOME)
    story.closed(ALICE, link)

    assert [dial.address for dial in story.passed(FIRST)] == [HOME]
    story.failed(work)
    assert [dial.address for dial in story.passed(3600.0)] == []


# Where they are


def test_a_node_that_moved_is_looked_for_at_its_new_places_at_once(story: Story) -> None:
    (dial,) = race(story, HOME)
    for _ in range(8):
        story.failed(dial)
        dial = story.until_next_dial()
    story.failed(dial)
    story.wanted({ALICE: (WORK,)})

    assert [each.address for each in story.passed(FIRST)] == [WORK]
    story.failed(Dial(story.neighbours._attempts, WORK, ALICE))
    assert story.neighbours.deadline() == story.now + FIRST


def test_a_node_that_moved_while_it_is_dialled_is_dialled_at_its_new_places_beside(story: Story) -> None:
    race(story, HOME)
    story.wanted({ALICE: (HOME, WORK)})

    assert [each.address for each in story.passed(FIRST)] == [WORK]


def test_the_same_candidates_again_change_nothing(story: Story) -> None:
    (dial,) = race(story, HOME)
    story.failed(dial)
    due = story.neighbours.deadline()

    assert story.wanted({ALICE: (HOME,)}) == []
    assert story.neighbours.deadline() == due


def test_a_node_wanted_no_more_keeps_its_link_and_is_not_looked_for_when_it_goes(story: Story) -> None:
    (dial,) = race(story, HOME)
    link = story.opened(ALICE, dial=dial.attempt, observed=HOME)
    story.wanted({}, frozenset({ALICE}))
    assert story.neighbours.link_to(ALICE) is not None

    story.closed(ALICE, link)
    assert story.passed(3600.0) == []
    assert story.unreached() == []


def test_a_dial_whose_node_is_wanted_no_more_counts_until_it_ends(story: Story) -> None:
    (dial,) = race(story, HOME)
    story.wanted({})

    assert story.failed(dial) == []
    assert story.neighbours.deadline() is None


def test_a_node_without_candidates_is_looked_for_where_it_was_seen(story: Story) -> None:
    story.wanted({ALICE: ()})

    assert story.learnt(ALICE, HOME) == [Dial(1, HOME, ALICE)]


def test_where_a_node_was_seen_does_not_matter_while_it_says_where_it_is(story: Story) -> None:
    story.wanted({ALICE: (HOME,)})

    assert story.learnt(ALICE, WORK) == []
    assert [dial.address for dial in story.passed(FIRST)] == [HOME]
    assert story.neighbours.addresses_of(ALICE) == [HOME, WORK]


def test_a_place_a_person_named_is_dialled_whoever_is_wanted(story: Story) -> None:
    story.wanted({}, frozenset({ALICE}))
    (dial,) = story.configured(HOME)
    link = story.opened(ALICE, dial=dial.attempt, observed=HOME)
    story.closed(ALICE, link)

    assert story.until_next_dial().address == HOME


def test_known_nodes_nobody_needs_are_not_dialled_where_they_were_seen(story: Story) -> None:
    story.wanted({BOB: (WORK,)}, frozenset({ALICE}))

    assert story.learnt(ALICE, HOME) == []
    assert story.learnt(node("carol"), HOME) == [Dial(1, HOME, node("carol"))]


def test_a_revoked_node_is_looked_for_no_more(story: Story) -> None:
    (dial,) = race(story, HOME)
    story.banished(ALICE)
    story.failed(dial)

    assert story.passed(3600.0) == []
    assert story.neighbours.addresses_of(ALICE) == []


# Ourselves


def test_a_place_of_our_own_is_never_dialled_for_another(story: Story) -> None:
    story.owns({LAN, WORK})

    assert [dial.address for dial in race(story, LAN, HOME)] == [HOME]


def test_a_place_that_became_ours_or_is_ours_no_more_is_seen_anew(story: Story) -> None:
    (lan,) = race(story, LAN)
    story.failed(lan)
    story.owns({LAN})
    assert story.moved() == []

    story.owns({HOME})
    assert [dial.address for dial in story.moved()] == [LAN]


def test_a_place_where_we_met_ourselves_is_dialled_no_more(story: Story) -> None:
    lan, home = race(story, LAN, HOME)
    story.failed(lan, "self", "this node itself")
    story.failed(home)

    assert story.until_next_dial().address == HOME


def test_an_address_inside_the_mesh_is_no_place_to_dial(story: Story) -> None:
    story.neighbours.ranges_known((IPv4Network("10.100.0.0/16"), IPv6Network("fd00:1::/48")))

    assert [dial.address for dial in race(story, "10.100.0.7:443", "[fd00:1::7]:443", "[fd00:2::7]:443")] == [
        "[fd00:2::7]:443"
    ]


# A change of addresses


def test_when_our_addresses_change_everybody_is_raced_anew_at_once(story: Story) -> None:
    home, work = race(story, HOME, WORK)
    for _ in range(6):
        lost(story, home, work)
        due = story.neighbours.deadline()
        assert due is not None
        home, work = story.passed(due - story.now)
    lost(story, home, work)

    assert [dial.address for dial in story.moved()] == [HOME, WORK]
    lost(story, *(Dial(story.neighbours._attempts - back, "", None) for back in (1, 0)))
    assert story.neighbours.deadline() == story.now + FIRST


def test_when_our_addresses_change_dials_in_flight_stay_within_the_limit(story: Story) -> None:
    story.wanted({node(str(each)): (f"192.0.2.{each}:443", f"192.0.2.{each}:444") for each in range(1, 40)})
    dials = story.passed(FIRST)
    assert len(dials) == MOST_DIALS
    lost(story, *dials[:3])

    assert story.moved() == []
    assert len(story.failed(dials[9])) == 1
