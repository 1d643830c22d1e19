"""Neighbours: who is dialled, and when again."""

from ipaddress import IPv4Network

import pytest

from pulse.core.effects import Dial
from pulse.core.paths.neighbours import HEALTHY_AFTER, MOST_DIALS
from tests.authority import node
from tests.core.paths.story import ALICE, BOB, HOME, WORK, Story


@pytest.fixture
def story() -> Story:
    return Story()


# Whom to dial


def test_a_configured_peer_is_dialled_at_once_whoever_lives_there(story: Story) -> None:
    assert story.configured("vm-01.example:443") == [Dial(1, "vm-01.example:443", None)]


def test_a_learnt_peer_is_dialled_and_must_be_that_node(story: Story) -> None:
    assert story.learnt(ALICE, HOME) == [Dial(1, HOME, ALICE)]


def test_a_peer_named_twice_is_dialled_once(story: Story) -> None:
    story.configured(HOME)

    assert story.configured(HOME) == []
    assert story.learnt(ALICE, HOME) == []
    assert story.neighbours.addresses_of(ALICE) == [HOME]


def test_a_learnt_address_that_a_person_names_becomes_configured(story: Story) -> None:
    (dial,) = story.learnt(ALICE, HOME)
    story.configured(HOME)
    story.failed(dial)

    assert [(each.address, each.node, each.configured) for each in story.neighbours.unreached()] == [
        (HOME, ALICE, True)
    ]
    assert story.until_next_dial().expect is None


def test_what_is_known_of_a_configured_peer_is_not_overwritten_by_hearsay(story: Story) -> None:
    (dial,) = story.configured(HOME)
    story.opened(ALICE, dial=dial.attempt, observed=HOME)

    story.learnt(BOB, HOME)

    assert story.neighbours.addresses_of(ALICE) == [HOME]
    assert story.neighbours.addresses_of(BOB) == []


def test_a_linked_peer_is_not_dialled(story: Story) -> None:
    story.opened(ALICE)

    assert story.learnt(ALICE, HOME) == []
    assert story.neighbours.deadline() is None


def test_no_more_dials_are_in_flight_than_allowed_and_the_rest_follow(story: Story) -> None:
    dials = [
        dial for place in range(MOST_DIALS + 5) for dial in story.learnt(node(str(place)), f"192.0.2.1:{1 + place}")
    ]
    assert len(dials) == MOST_DIALS
    assert story.neighbours.deadline() is None

    assert len(story.failed(dials[0])) == 1


def test_a_dial_of_a_revoked_node_counts_until_it_ends(story: Story) -> None:
    dials = [dial for place in range(MOST_DIALS) for dial in story.learnt(node(str(place)), f"192.0.2.1:{1 + place}")]

    story.banished(node("0"))

    assert story.configured(HOME) == []
    assert [dial.address for dial in story.failed(dials[0])] == [HOME]


def test_who_waited_longest_is_dialled_first_so_that_dead_addresses_starve_nobody(story: Story) -> None:
    addresses = {f"192.0.2.1:{1 + place}" for place in range(MOST_DIALS * 4)}
    flying = [dial for address in sorted(addresses) for dial in story.learnt(node(address), address)]
    tried: set[str] = set()
    for _ in range(MOST_DIALS * 4):
        dial = flying.pop(0)
        tried.add(dial.address)
        story.now += 100.0
        flying += story.failed(dial)

    assert tried == addresses


def test_configured_peers_go_before_learnt_ones(story: Story) -> None:
    dials = [
        dial for place in range(MOST_DIALS + 9) for dial in story.learnt(node(str(place)), f"192.0.2.1:{1 + place}")
    ]
    story.now += 9.0
    assert story.configured(WORK) == []

    assert [dial.address for dial in story.failed(dials[0])] == [WORK]


# When again


def test_a_failed_dial_is_tried_again_later_and_later(story: Story) -> None:
    (dial,) = story.configured(HOME)
    waits = []
    for _ in range(9):
        assert story.failed(dial) == []
        before = story.now
        dial = story.until_next_dial()
        waits.append(story.now - before)

    assert waits == [0.5, 1, 2, 4, 8, 16, 32, 60, 60]


@pytest.mark.parametrize("wanted", [False, True])
def test_why_a_link_ended_is_told_in_plain_words(story: Story, wanted: bool) -> None:
    (dial,) = story.configured(HOME)
    link = story.opened(ALICE, dial=dial.attempt, observed=HOME)
    if wanted:
        story.wanted({ALICE: (WORK,)})
    story.closed(ALICE, link, "closed by peer: leaving")

    assert {each.last_error for each in story.neighbours.unreached()} == {"it was stopped"}


def test_a_failed_dial_says_why(story: Story) -> None:
    (dial,) = story.configured(HOME)
    story.failed(dial, "refused", "it refused the connection")

    (unreached,) = story.neighbours.unreached()
    assert unreached.last_error == "it refused the connection"
    assert story.logs[0].fields["code"] == "refused"


def test_a_dial_nobody_made_changes_nothing(story: Story) -> None:
    assert story.failed(Dial(7, HOME, None)) == []
    assert story.logs == []


def test_a_peer_that_accepts_and_closes_is_dialled_ever_more_rarely(story: Story) -> None:
    (dial,) = story.configured(HOME)
    waits = []
    for _ in range(5):
        link = story.opened(ALICE, dial=dial.attempt, observed=HOME)
        story.now += 1.0
        assert story.closed(ALICE, link) == []
        before = story.now
        dial = story.until_next_dial()
        waits.append(story.now - before)

    assert waits == [0.5, 1, 2, 4, 8]


def test_a_healthy_link_that_breaks_is_wanted_back_at_once(story: Story) -> None:
    (dial,) = story.configured(HOME)
    for _ in range(8):
        story.failed(dial)
        dial = story.until_next_dial()
    link = story.opened(ALICE, dial=dial.attempt, observed=HOME)
    story.now += HEALTHY_AFTER
    story.closed(ALICE, link, "no echo")

    before = story.now
    story.until_next_dial()

    assert story.now - before == 0.5
    assert story.neighbours.unreached()[0].last_error == "no echo"


def test_a_change_of_addresses_makes_everybody_worth_a_try_at_once(story: Story) -> None:
    (dial,) = story.configured(HOME)
    for _ in range(8):
        story.failed(dial)
        dial = story.until_next_dial()
    story.failed(dial)

    assert [each.address for each in story.moved()] == [HOME]


# Relays of a domain


def test_relays_of_a_domain_are_dialled_and_when_it_names_others_those_are() -> None:
    story = Story()
    (first,) = story.published(HOME)
    assert (first.address, first.expect) == (HOME, None)
    story.opened(ALICE, dial=first.attempt)

    (second,) = story.published(WORK)
    assert second.address == WORK
    assert story.unreached() == [WORK]


def test_a_relay_nobody_answered_at_is_forgotten_with_its_name() -> None:
    story = Story()
    (dial,) = story.published(HOME)
    story.failed(dial)
    story.published()

    assert story.unreached() == []


def test_a_relay_that_is_not_named_any_more_may_be_dialled_as_a_place_of_a_node() -> None:
    story = Story()
    (dial,) = story.published(HOME)
    story.failed(dial)
    story.published()
    story.wanted({ALICE: (HOME,)})

    assert story.until_next_dial().address == HOME


def test_a_hole_into_the_mesh_itself_is_none() -> None:
    story = Story()
    story.neighbours.ranges_known((IPv4Network("10.100.0.0/16"),))

    assert story.neighbours.hole_opened(ALICE, "10.100.3.4:443") == []


def test_what_a_person_named_stays_named_whatever_the_domain_says() -> None:
    story = Story()
    story.configured(HOME)
    assert story.published(HOME) == []
    story.published()

    assert story.unreached() == [HOME]


def test_a_hole_opened_by_birthday_is_dialled_from_its_own_socket_over_quic_alone() -> None:
    (dial,) = Story().neighbours.hole_opened(ALICE, HOME, 4711)

    assert isinstance(dial, Dial)
    assert (dial.address, dial.expect, dial.hole, dial.websocket_after) == (HOME, ALICE, 4711, None)
