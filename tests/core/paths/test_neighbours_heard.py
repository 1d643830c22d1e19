"""Neighbours: a node that is heard on a LAN is dialled there at once, and what a false word there can cost."""

import pytest

from pulse.core.effects import Dial
from pulse.core.paths.neighbours import MOST_DIALS
from tests.authority import node
from tests.core.paths.story import ALICE, BOB, HOME, WORK, Story

LAN, V6_LAN, ELSEWHERE = "192.168.7.2:8443", "[fe80::2%3]:8443", "192.168.7.66:8443"


@pytest.fixture
def story() -> Story:
    return Story()


def test_a_node_nobody_told_of_is_dialled_where_it_was_heard_and_must_be_that_node(story: Story) -> None:
    assert story.heard(ALICE, LAN) == [Dial(1, LAN, ALICE)]


def test_a_wanted_node_is_dialled_there_first_and_where_it_says_it_is(story: Story) -> None:
    (dial,) = story.wanted({ALICE: (HOME,)}) or story.passed(1.0)
    story.failed(dial)

    assert [each.address for each in story.heard(ALICE, LAN)] == [LAN, HOME]


def test_a_linked_node_is_not_dialled(story: Story) -> None:
    story.opened(ALICE)

    assert story.heard(ALICE, LAN) == []


def test_a_node_that_needs_no_link_is_not_dialled(story: Story) -> None:
    story.wanted({}, frozenset({ALICE}))

    assert story.heard(ALICE, LAN) == []
    assert story.unreached() == []


def test_when_its_link_goes_it_is_looked_for_where_it_was_heard_meanwhile(story: Story) -> None:
    story.wanted({ALICE: (HOME,)})
    link = story.opened(ALICE)
    story.heard(ALICE, LAN)
    story.closed(ALICE, link)

    assert {each.address for each in story.passed(1.0)} == {LAN, HOME}


def test_a_node_that_comes_to_be_wanted_is_looked_for_where_it_was_heard(story: Story) -> None:
    story.wanted({}, frozenset({ALICE}))
    story.heard(ALICE, LAN)
    story.wanted({ALICE: (HOME,)})

    assert {each.address for each in story.passed(1.0)} == {LAN, HOME}


def test_where_it_does_not_answer_it_is_not_dialled_again_before_it_is_heard_again(story: Story) -> None:
    story.wanted({ALICE: (HOME,)})
    for dial in story.heard(ALICE, LAN):
        story.failed(dial)
    assert {story.until_next_dial().address for _ in range(1)} == {HOME}

    assert LAN in {each.address for each in story.heard(ALICE, LAN)}


def test_the_same_holds_of_a_node_nobody_told_of(story: Story) -> None:
    (dial,) = story.heard(ALICE, LAN)
    story.failed(dial)

    assert story.neighbours.deadline() is None
    assert story.unreached() == []
    assert [each.address for each in story.heard(ALICE, LAN)] == [LAN]


def test_once_there_is_a_link_the_place_is_known_as_any(story: Story) -> None:
    (dial,) = story.heard(ALICE, LAN)
    link = story.opened(ALICE, dial=dial.attempt, observed=LAN)
    assert story.neighbours.addresses_of(ALICE) == [LAN]

    story.closed(ALICE, link)
    assert story.until_next_dial() == Dial(2, LAN, ALICE)


def test_a_configured_peer_that_is_heard_is_not_waited_for(story: Story) -> None:
    (dial,) = story.configured(LAN)
    story.failed(dial)

    assert [(each.address, each.expect) for each in story.heard(ALICE, LAN)] == [(LAN, None)]


def test_the_same_if_it_is_wanted_as_well(story: Story) -> None:
    (dial,) = story.configured(LAN)
    story.failed(dial)
    for each in story.wanted({ALICE: (HOME,)}) or story.passed(1.0):
        story.failed(each)

    assert LAN in {each.address for each in story.heard(ALICE, LAN)}


def test_a_false_word_takes_no_place_away_from_a_node_that_was_seen_there(story: Story) -> None:
    """Somebody sends one node's beacon from where another one is."""
    (dial,) = story.learnt(ALICE, HOME)
    story.failed(dial)

    (false,) = story.heard(BOB, HOME)
    story.failed(false)

    assert story.neighbours.addresses_of(ALICE) == [HOME]
    assert story.until_next_dial().expect == ALICE


def test_who_is_heard_goes_before_a_queue_of_those_who_are_merely_remembered(story: Story) -> None:
    for number in range(100):
        story.learnt(node(f"remembered {number}"), f"203.0.113.1:{1 + number}")
    assert story.heard(ALICE, LAN) == [], f"{MOST_DIALS} dials are in flight"

    dialled = story.failed(Dial(1, "203.0.113.1:1", None))

    assert [each.address for each in dialled] == [LAN]


def test_a_wanted_node_that_is_heard_goes_before_them_too(story: Story) -> None:
    for number in range(100):
        story.learnt(node(f"remembered {number}"), f"203.0.113.1:{1 + number}")
    story.wanted({ALICE: (HOME, WORK)})
    story.heard(ALICE, LAN)

    assert [each.address for each in story.failed(Dial(1, "203.0.113.1:1", None))] == [LAN]


def test_both_families_are_raced(story: Story) -> None:
    (first,) = story.heard(ALICE, LAN)
    (second,) = story.heard(ALICE, V6_LAN)
    story.opened(ALICE, dial=second.attempt, observed=V6_LAN)
    story.failed(first, "duplicate", ALICE)

    assert story.neighbours.deadline() is None
    assert story.neighbours.addresses_of(ALICE) == [V6_LAN]


def test_a_revoked_node_that_was_heard_is_looked_for_no_more(story: Story) -> None:
    (dial,) = story.heard(ALICE, LAN)
    story.banished(ALICE)
    story.failed(dial)

    assert story.passed(100.0) == []
