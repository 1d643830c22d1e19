"""Transports: QUIC goes ahead, what got through here is remembered, and a WebSocket is tried over QUIC anew."""

import pytest

from pulse.core.effects import WEBSOCKET_AFTER, Dial
from pulse.core.paths.transports import (
    MOST_PLACES,
    MOVE_RATE,
    MOVES,
    PROVEN_AFTER,
    REMEMBERED,
    SILENT_EVERY,
    UPGRADE_EVERY,
    UPGRADE_FIRST,
)
from tests.core.paths.story import ALICE, BOB, HOME, WORK, Story


@pytest.fixture
def story() -> Story:
    return Story()


def test_quic_goes_ahead_where_nothing_is_known(story: Story) -> None:
    assert story.configured(HOME)[0].websocket_after == WEBSOCKET_AFTER


def test_where_a_websocket_was_faster_nobody_waits_for_quic_for_ten_minutes(story: Story) -> None:
    (dial,) = story.configured(HOME)
    story.opened(ALICE, dial=dial.attempt, observed=HOME, transport="websocket")
    (other,) = story.learnt(BOB, WORK)
    assert other.websocket_after == 0.0
    story.failed(other)
    story.now += REMEMBERED

    assert [each.websocket_after for each in story.passed(60) if each.address == WORK] == [WEBSOCKET_AFTER]


def test_a_dial_that_became_quic_or_another_network_ends_that(story: Story) -> None:
    (dial,) = story.configured(HOME)
    link = story.opened(ALICE, dial=dial.attempt, observed=HOME, transport="websocket")
    story.closed(ALICE, link)
    assert story.until_next_dial().websocket_after == 0.0
    story.opened(ALICE, dial=2, observed=HOME)
    assert story.learnt(BOB, WORK)[0].websocket_after == WEBSOCKET_AFTER

    story.opened(BOB, dial=3, observed=WORK, transport="websocket")
    story.moved()
    assert all(each.websocket_after in (None, WEBSOCKET_AFTER) for each in story.configured("vm-02.example:443"))


def test_a_websocket_we_dialled_is_tried_over_quic_alone_soon_and_then_every_25_seconds(story: Story) -> None:
    (dial,) = story.configured(HOME)
    link = story.opened(ALICE, dial=dial.attempt, observed=HOME, transport="websocket")
    for attempt, pause in ((2, UPGRADE_FIRST), (3, UPGRADE_EVERY), (4, UPGRADE_EVERY), (5, UPGRADE_EVERY)):
        assert story.passed(pause - 1) == []
        (again,) = story.passed(1)
        assert again == Dial(attempt, HOME, ALICE, link, websocket_after=None)
        assert story.failed(again) == []

    quic = story.opened(ALICE, dial=5, observed=HOME)
    story.closed(ALICE, link, f"replaced by link {quic}")
    assert story.neighbours.deadline() is None
    assert story.passed(10 * UPGRADE_EVERY) == []


def test_one_that_came_to_us_is_its_dialler_s_to_improve_and_leads_to_no_place(story: Story) -> None:
    link = story.opened(ALICE, observed="192.0.2.9:50123", transport="websocket")
    assert story.passed(10 * UPGRADE_EVERY) == []
    assert story.neighbours.addresses_of(ALICE) == []
    assert story.closed(ALICE, link) == []


def test_a_websocket_through_a_proxy_is_dialled_again_at_its_far_end(story: Story) -> None:
    (dial,) = story.learnt(ALICE, HOME)
    link = story.opened(ALICE, dial=dial.attempt, observed="10.0.0.1:3128", transport="websocket")
    assert story.neighbours.addresses_of(ALICE) == [HOME]
    story.closed(ALICE, link)
    assert story.until_next_dial().address == HOME


def test_on_another_network_a_websocket_is_tried_over_quic_at_once(story: Story) -> None:
    (dial,) = story.configured(HOME)
    link = story.opened(ALICE, dial=dial.attempt, observed=HOME, transport="websocket")
    assert story.moved() == [Dial(2, HOME, ALICE, link, websocket_after=None)]


@pytest.mark.parametrize("transport", ["quic", "websocket"])
def test_a_silent_link_is_made_anew_beside_itself_and_left_alone_once_it_is_heard(story: Story, transport: str) -> None:
    (dial,) = story.configured(HOME)
    link = story.opened(ALICE, dial=dial.attempt, observed=HOME, transport=transport)
    (anew,) = story.suspected(link, True)
    assert (anew.address, anew.expect, anew.replaces) == (HOME, ALICE, link)
    assert anew.websocket_after is not None
    assert story.suspected(link, True) == []
    assert story.failed(anew) == []
    assert story.passed(SILENT_EVERY / 2) == []
    (again,) = story.passed(SILENT_EVERY / 2)
    story.failed(again)

    assert story.suspected(link, False) == []
    assert story.passed(UPGRADE_EVERY - 1) == []


def test_a_silent_link_that_came_to_us_is_its_dialler_s_to_renew(story: Story) -> None:
    assert story.suspected(story.opened(ALICE), True) == []


def test_a_new_link_that_takes_over_ends_the_search(story: Story) -> None:
    (dial,) = story.configured(HOME)
    link = story.opened(ALICE, dial=dial.attempt, observed=HOME)
    (anew,) = story.suspected(link, True)
    other = story.opened(ALICE, dial=anew.attempt, observed=HOME, transport="websocket")
    story.closed(ALICE, link, f"replaced by link {other}")

    assert story.passed(UPGRADE_FIRST - 1) == []
    assert story.passed(1) == [Dial(3, HOME, ALICE, other, websocket_after=None)]


def test_a_link_that_falls_silent_again_at_once_is_left_to_go_down(story: Story) -> None:
    """A peer that takes every link and answers for none would else have us dial without a pause."""
    (dial,) = story.configured(HOME)
    link = story.opened(ALICE, dial=dial.attempt, observed=HOME)
    (anew,) = story.suspected(link, True)
    other = story.opened(ALICE, dial=anew.attempt, observed=HOME)
    story.closed(ALICE, link, f"replaced by link {other}")
    assert story.suspected(other, True) == []
    assert story.suspected(other, False) == []

    story.now += PROVEN_AFTER
    assert [each.replaces for each in story.suspected(other, True)] == [other]


# An end moved

CAFE, TRAIN, SHIP = "203.0.113.7:40001", "203.0.113.8:40002", "203.0.113.9:40003"


@pytest.mark.parametrize("ours", [True, False], ids=["we dialled", "it dialled"])
def test_a_neighbour_that_moved_is_dialled_where_it_is_now_by_whoever_sees_it(story: Story, ours: bool) -> None:
    (dial,) = story.configured(HOME)
    link = story.opened(ALICE, dial=dial.attempt, observed=HOME) if ours else story.opened(ALICE, observed=CAFE)

    (anew,) = story.seen_at(link, TRAIN)
    assert (anew.address, anew.expect, anew.replaces) == (TRAIN, ALICE, link)
    found = story.neighbours.link_to(ALICE)
    assert found is not None
    assert (found.link, found.observed) == (link, TRAIN)

    other = story.opened(ALICE, dial=anew.attempt, observed=TRAIN)
    assert story.closed(ALICE, link, f"replaced by link {other}") == []
    assert story.passed(10 * UPGRADE_EVERY) == []


def test_one_that_moved_is_looked_for_at_its_new_place_once_it_is_gone(story: Story) -> None:
    link = story.opened(ALICE, observed=CAFE)
    (anew,) = story.seen_at(link, TRAIN)
    story.failed(anew)
    story.closed(ALICE, link)

    assert {each.address for each in story.passed(1)} == {CAFE, TRAIN}


def test_a_move_nobody_answers_for_is_not_tried_again_by_itself(story: Story) -> None:
    (anew,) = story.seen_at(story.opened(ALICE, observed=CAFE), TRAIN)
    assert story.failed(anew) == []
    assert story.passed(10 * UPGRADE_EVERY) == []


def test_one_that_moves_all_day_is_followed_now_and_then(story: Story) -> None:
    link = story.opened(ALICE, observed=CAFE)
    for place in [TRAIN, SHIP] * MOVES:
        story.seen_at(link, place)
    assert story.neighbours._attempts == MOVES

    assert [each.address for each in story.passed(1 / MOVE_RATE)] == [SHIP]


def test_the_move_of_a_link_that_is_gone_changes_nothing(story: Story) -> None:
    link = story.opened(ALICE, observed=CAFE)
    story.closed(ALICE, link)
    story.passed(60)

    assert story.seen_at(link, TRAIN) == []
    assert story.leaves_from_elsewhere(link) == []


def test_an_older_link_that_moves_is_not_taken_for_the_one_that_serves(story: Story) -> None:
    older, newer = story.opened(ALICE, observed=CAFE), story.opened(ALICE, observed=HOME)
    assert story.seen_at(older, TRAIN) == []

    found = story.neighbours.link_to(ALICE)
    assert found is not None
    assert (found.link, found.observed) == (newer, HOME)


def test_from_another_network_all_is_dialled_anew_where_it_was_met_and_wherever_else_it_is(story: Story) -> None:
    (dial,) = story.configured(HOME)
    dialled = story.opened(ALICE, dial=dial.attempt, observed=HOME)
    came = story.opened(BOB, observed=CAFE)
    story.wanted({ALICE: (), BOB: (WORK, TRAIN)})

    anew = story.leaves_from_elsewhere(dialled, came)

    assert {(each.address, each.expect, each.replaces) for each in anew} == {
        (HOME, ALICE, dialled), (CAFE, BOB, came), (WORK, BOB, came), (TRAIN, BOB, came),
    }  # fmt: skip
    assert story.passed(0.0) == []


def test_no_more_places_of_one_node_are_dialled_anew_than_allowed(story: Story) -> None:
    link = story.opened(ALICE, observed=HOME)
    story.wanted({ALICE: (HOME, WORK, CAFE, TRAIN, SHIP)})

    assert [each.address for each in story.leaves_from_elsewhere(link)] == [HOME, WORK, CAFE, TRAIN][:MOST_PLACES]


def test_who_moves_again_does_not_wait_for_what_was_sent_from_the_last_place(story: Story) -> None:
    (dial,) = story.configured(HOME)
    link = story.opened(ALICE, dial=dial.attempt, observed=HOME)
    (first,) = story.leaves_from_elsewhere(link)
    (second,) = story.leaves_from_elsewhere(link)

    assert second.address == first.address
    story.failed(first)
    other = story.opened(ALICE, dial=second.attempt, observed=HOME)
    story.closed(ALICE, link, f"replaced by link {other}")
    assert story.passed(10 * UPGRADE_EVERY) == []


def test_a_round_from_another_network_is_over_when_all_its_dials_are(story: Story) -> None:
    (dial,) = story.configured(HOME)
    link = story.opened(ALICE, dial=dial.attempt, observed=HOME, transport="websocket")
    story.wanted({ALICE: (WORK,)})
    one, other = story.leaves_from_elsewhere(link)
    story.failed(one)
    assert story.passed(UPGRADE_EVERY) == []
    story.failed(other)

    (again,) = story.passed(UPGRADE_EVERY)
    assert (again.address, again.websocket_after) == (HOME, None)


def test_from_another_network_a_websocket_may_be_a_websocket_again(story: Story) -> None:
    (dial,) = story.configured(HOME)
    link = story.opened(ALICE, dial=dial.attempt, observed=HOME, transport="websocket")

    (anew,) = story.leaves_from_elsewhere(link)

    assert anew.websocket_after is not None


def test_a_websocket_that_came_to_us_is_dialled_anew_where_its_node_says_it_is_if_it_does(story: Story) -> None:
    link = story.opened(ALICE, observed=CAFE, transport="websocket")
    assert story.leaves_from_elsewhere(link) == []

    story.wanted({ALICE: (WORK,)})
    assert [each.address for each in story.leaves_from_elsewhere(link)] == [WORK]


def test_after_a_sleep_everybody_is_dialled_at_once_linked_or_not(story: Story) -> None:
    (dial,) = story.configured(HOME)
    link = story.opened(ALICE, dial=dial.attempt, observed=HOME)
    (other,) = story.learnt(BOB, WORK)
    for _ in range(8):
        story.failed(other)
        other = story.until_next_dial()
    story.failed(other)

    assert {(each.address, each.replaces) for each in story.woke()} == {(HOME, link), (WORK, 0)}


def test_a_link_whose_certificates_are_old_is_dialled_anew_once_and_again_if_that_fails(story: Story) -> None:
    (dial,) = story.configured(HOME)
    link = story.opened(ALICE, dial=dial.attempt, observed=HOME)
    assert story.renewed(BOB, 60.0) == []
    assert story.renewed(ALICE, 60.0) == []
    for attempt in (2, 3):
        assert story.passed(59.0) == []
        (again,) = story.passed(1.0)
        assert again == Dial(attempt, HOME, ALICE, link)
        assert story.failed(again) == []
    (last,) = story.passed(60.0)
    story.opened(ALICE, dial=last.attempt, observed=HOME)
    assert story.passed(1e6) == [], "the new link shows the new certificates"


def test_a_node_that_goes_on_showing_an_old_certificate_is_dialled_ever_more_rarely(story: Story) -> None:
    (dial,) = story.configured(HOME)
    pauses = []
    for _ in range(9):
        story.opened(ALICE, dial=dial.attempt, observed=HOME)
        assert story.shows_old(ALICE, 60.0) == []
        before = story.now
        dial = story.until_next_dial()
        pauses.append(story.now - before)
    assert pauses == [60.0, 120.0, 240.0, 480.0, 960.0, 1920.0, 3600.0, 3600.0, 3600.0]

    link = story.opened(ALICE, dial=dial.attempt, observed=HOME)
    story.shows_old(ALICE, 60.0)
    assert story.renewed(ALICE, 60.0) == [], "there is news: it counts at once"
    assert [each.replaces for each in story.passed(60.0)] == [link]


def test_our_own_renewal_concerns_every_link_we_dialled_and_a_websocket_may_be_one_again(story: Story) -> None:
    (dial,) = story.configured(HOME)
    link = story.opened(ALICE, dial=dial.attempt, observed=HOME, transport="websocket")
    story.opened(BOB)
    assert story.renewed(None, 1.0) == []
    (again,) = story.passed(1.0)

    assert (again.replaces, again.expect, again.websocket_after) == (link, ALICE, 0.0)


def test_a_link_that_moved_is_still_to_show_the_new_certificates(story: Story) -> None:
    (dial,) = story.configured(HOME)
    link = story.opened(ALICE, dial=dial.attempt, observed=HOME)
    story.renewed(ALICE, 60.0)
    (moved,) = story.seen_at(link, WORK)
    story.failed(moved)

    assert [each.replaces for each in story.passed(60.0)] == [link]
