"""Beacons: when we say that we are there, and what we make of what others say."""

from itertools import pairwise

import pytest

from pulse.core.effects import SendBeacon
from pulse.core.paths.beacon import ALONE_EVERY, BURST, EVERY, JITTER, UNPLANNED, UNPLANNED_RATE
from pulse.core.paths.news import NodeHeard
from tests.authority import NOW, node
from tests.core.paths.calls import PORT, datagram
from tests.core.paths.lan import ALICE, BOB, ELSEWHERE, V6_THERE, Story

SPREAD = 1 + JITTER


@pytest.fixture
def story() -> Story:
    return Story()


# What we say, and when


def test_without_a_lan_nothing_is_said(story: Story) -> None:
    assert story.beacons.deadline() is None
    assert story.passed(1000.0) == []


def test_a_lan_is_told_at_once_and_twice_more(story: Story) -> None:
    story.linked.add(BOB)
    story.lans()

    assert story.passed(EVERY / 2) == [1000.0 + after for after in BURST]


def test_a_lan_that_is_gone_is_told_nothing_more(story: Story) -> None:
    story.lans()
    story.passed(0.5)
    story.lans(0)

    assert story.passed(1000.0) == []


def test_after_a_sleep_it_is_told_anew(story: Story) -> None:
    before = len(story.settled().sent)
    story.beacons.woke(story.now)

    assert len(story.passed(BURST[-1])) == len(BURST)
    assert len(story.sent) == before + len(BURST)


def test_a_beacon_tells_our_life_the_time_and_where_links_are_taken_in(story: Story) -> None:
    story.lans()
    story.passed(BURST[1])

    first, second = (said for _, said in story.sent)
    assert (first.boot, first.port, first.clock) == (7, PORT, NOW)
    assert (second.seq - first.seq, second.clock - first.clock) == (1, BURST[1])


def test_two_beacons_are_never_sealed_alike(story: Story) -> None:
    story.lans()
    first, second = (story.beacons.tick(story.now + after) for after in BURST[:2])

    assert isinstance(first[0], SendBeacon)
    assert isinstance(second[0], SendBeacon)
    assert first[0].data[1:13] != second[0].data[1:13]


@pytest.mark.parametrize(("linked", "every"), [(True, EVERY), (False, ALONE_EVERY)])
def test_then_it_is_said_seldom_and_more_often_by_who_is_alone(story: Story, linked: bool, every: float) -> None:
    story.linked |= {BOB} if linked else set()
    story.lans()
    story.passed(10.0)

    times = story.passed(100 * every)

    pauses = [later - earlier for earlier, later in pairwise(times)]
    assert all(every * (1 - JITTER) <= each <= every * SPREAD for each in pauses)
    assert len(set(pauses)) > 10, "machines that were switched on together do not shout together"


def test_who_loses_its_last_link_says_so_soon(story: Story) -> None:
    story.settled().linked.clear()

    assert len(story.passed(ALONE_EVERY * SPREAD)) >= 1


def test_a_network_that_never_rests_is_not_told_all_the_time(story: Story) -> None:
    story.settled()
    before = len(story.sent)
    for _ in range(600):
        story.lans()
        story.passed(1.0)

    assert len(story.sent) - before <= UNPLANNED + 600 * UNPLANNED_RATE + 600 / (EVERY * (1 - JITTER)) + 1


# What we hear


def test_a_member_without_a_link_is_told_with_its_place(story: Story) -> None:
    assert story.hears(datagram("alice")) == [NodeHeard(ALICE, "192.0.2.2:8443")]

    assert story.beacons.heard.places_of(ALICE) == ("192.0.2.2:8443",)
    assert (story.count("heard"), story.count("nodes")) == (1, 1)


def test_over_both_families_it_has_two_places(story: Story) -> None:
    story.hears(datagram("alice"))

    assert story.hears(datagram("alice"), V6_THERE) == [NodeHeard(ALICE, "[fe80::2%3]:8443")]


def test_it_is_dialled_where_the_datagram_came_from_at_the_port_it_signed(story: Story) -> None:
    assert story.hears(datagram("alice", port=41641), ELSEWHERE) == [NodeHeard(ALICE, "192.0.2.66:41641")]


def test_a_neighbour_is_known_to_be_there_and_needs_no_dial(story: Story) -> None:
    story.link(ALICE)

    assert story.hears(datagram("alice")) == []
    assert story.beacons.heard.places_of(ALICE) == ("192.0.2.2:8443",)


def test_our_own_beacon_is_nobodys(story: Story) -> None:
    assert story.hears(datagram("me")) == []
    assert story.count("nodes") == 0


# Answers


def test_a_newcomer_is_answered_once_and_soon(story: Story) -> None:
    story.settled().hears(datagram("alice"))
    story.hears(datagram("alice"), V6_THERE)

    assert len(story.passed(1.0)) == 1


def test_a_newcomer_that_has_a_link_by_then_needs_no_answer(story: Story) -> None:
    story.settled().hears(datagram("alice"))
    story.link(ALICE)

    assert story.passed(1.0) == []


def test_one_of_two_newcomers_that_has_no_link_is_answered(story: Story) -> None:
    story.settled().hears(datagram("alice"))
    story.hears(datagram("bob"), ELSEWHERE)
    story.link(ALICE)

    assert len(story.passed(1.0)) == 1


def test_a_neighbour_that_started_again_is_answered_for_its_link_is_dead(story: Story) -> None:
    story.settled().link(ALICE)
    story.hears(datagram("alice", boot=1))

    story.hears(datagram("alice", boot=2))

    assert len(story.passed(1.0)) == 1


def test_who_goes_on_saying_the_same_is_not_answered(story: Story) -> None:
    story.settled().hears(datagram("alice"))
    story.passed(1.0)

    story.hears(datagram("alice", 2))
    assert story.passed(1.0) == []


def test_newcomers_in_a_crowd_make_us_answer_a_few_times_only(story: Story) -> None:
    story.settled()
    story.members |= {node(f"n{number}") for number in range(50)}
    for number in range(50):
        story.hears(datagram(f"n{number}"))
        story.passed(1.0)

    answers = [at for at, _ in story.sent if at > 2000.0]
    assert UNPLANNED <= len(answers) <= UNPLANNED + 50 * UNPLANNED_RATE + 2
