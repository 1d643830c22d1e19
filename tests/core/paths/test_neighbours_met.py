"""Neighbours: what meeting somebody, or nobody, teaches about a place; and how much is remembered."""

import pytest

from pulse.core.effects import WARNING, CloseSession, Dial
from pulse.core.paths import neighbours, targets
from pulse.core.paths.neighbours import MOST_DIALS
from pulse.core.paths.targets import MOST_PLACES
from pulse.core.types import LinkId
from tests.authority import node
from tests.core.paths.story import ALICE, BOB, HOME, WORK, Story


@pytest.fixture
def story() -> Story:
    return Story()


# Who is met


def test_a_link_we_dialled_tells_who_lives_at_the_address(story: Story) -> None:
    (dial,) = story.configured("vm-01.example:443")
    link = story.opened(ALICE, dial=dial.attempt, observed=HOME)

    assert story.unreached() == []
    assert story.neighbours.addresses_of(ALICE) == ["vm-01.example:443"]
    neighbour = story.neighbours.get(link)
    assert neighbour is not None
    assert neighbour.dialled
    assert story.neighbours.link_to(ALICE) is neighbour


def test_a_peer_that_came_to_us_is_looked_for_where_it_was_seen(story: Story) -> None:
    link = story.opened(ALICE, observed=WORK)
    story.closed(ALICE, link)

    assert story.until_next_dial() == Dial(1, WORK, ALICE)


def test_a_roaming_peer_is_remembered_at_its_newest_places_only(story: Story) -> None:
    for place in range(9):
        story.opened(ALICE, observed=f"192.0.2.{place}:443")
    story.opened(ALICE, observed="192.0.2.6:443")

    assert story.neighbours.addresses_of(ALICE) == [f"192.0.2.{place}:443" for place in (5, 7, 8, 6)]
    assert len(story.neighbours.addresses_of(ALICE)) == MOST_PLACES


def test_a_machine_set_up_anew_behind_a_configured_address_is_accepted_as_another_node(story: Story) -> None:
    (dial,) = story.configured(HOME)
    link = story.opened(ALICE, dial=dial.attempt, observed=HOME)
    story.closed(ALICE, link)

    again = story.until_next_dial()
    assert again.expect is None
    story.opened(BOB, dial=again.attempt, observed=HOME)

    assert story.unreached() == []
    assert story.neighbours.addresses_of(ALICE) == []


def test_a_machine_set_up_anew_that_comes_to_us_takes_over_its_address(story: Story) -> None:
    story.opened(ALICE, observed=HOME)
    story.opened(BOB, observed=HOME)

    assert story.neighbours.addresses_of(ALICE) == []
    assert story.neighbours.addresses_of(BOB) == [HOME]


def test_a_dial_that_lost_against_the_neighbours_own_tells_who_lives_there(story: Story) -> None:
    (dial,) = story.configured("vm-01.example:443")
    link = story.opened(ALICE, observed=WORK)
    story.failed(dial, "duplicate", ALICE)

    assert story.unreached() == []
    assert story.neighbours.deadline() is None
    story.closed(ALICE, link)
    assert {each.last_error for each in story.neighbours.unreached()} == {"idle"}


def test_a_lost_dial_corrects_who_we_thought_lives_there(story: Story) -> None:
    (dial,) = story.configured(HOME)
    story.closed(ALICE, story.opened(ALICE, dial=dial.attempt, observed=HOME))
    again = story.until_next_dial()
    story.opened(BOB, observed=WORK)

    story.failed(again, "duplicate", BOB)

    assert story.unreached() == []


def test_two_addresses_of_one_node_need_one_link(story: Story) -> None:
    (home,) = story.learnt(ALICE, HOME)
    (work,) = story.learnt(ALICE, WORK)
    story.opened(ALICE, dial=home.attempt, observed=HOME)
    story.failed(work, "duplicate", ALICE)

    assert story.passed(3600.0) == []
    assert story.unreached() == []


def test_the_older_link_of_a_pair_may_go_without_a_dial(story: Story) -> None:
    older = story.opened(ALICE)
    newer = story.opened(ALICE)

    assert story.closed(ALICE, older, "replaced") == []
    assert story.neighbours.deadline() is None
    link = story.neighbours.link_to(ALICE)
    assert link is not None
    assert link.link == newer


def test_the_older_link_of_a_pair_serves_when_the_newer_goes(story: Story) -> None:
    older = story.opened(ALICE)
    newer = story.opened(ALICE)

    assert story.closed(ALICE, newer, "lost the tie-break") == []
    assert story.neighbours.deadline() is None
    link = story.neighbours.link_to(ALICE)
    assert link is not None
    assert link.link == older


def test_the_end_of_a_link_nobody_knew_changes_nothing(story: Story) -> None:
    assert story.closed(ALICE, LinkId(5)) == []
    assert story.neighbours.links() == []


def test_it_is_known_since_when_a_peer_is_away(story: Story) -> None:
    assert story.neighbours.parted_at(ALICE) is None
    older, newer = story.opened(ALICE), story.opened(ALICE)
    story.closed(ALICE, older)
    assert story.neighbours.parted_at(ALICE) is None

    story.now += 5.0
    story.closed(ALICE, newer)
    assert story.neighbours.parted_at(ALICE) == story.now

    story.opened(ALICE)
    assert story.neighbours.parted_at(ALICE) is None


# Which life of a node


def test_a_node_that_restarted_ends_the_session_with_its_earlier_life(story: Story) -> None:
    story.closed(ALICE, story.opened(ALICE, boot=b"first life......"))
    story.opened(ALICE, boot=b"second life.....")

    assert story.sessions_closed == [CloseSession(ALICE, "the node restarted")]


def test_a_node_that_links_again_in_the_same_life_keeps_its_session(story: Story) -> None:
    story.closed(ALICE, story.opened(ALICE, boot=b"only life......."))
    story.opened(ALICE, boot=b"only life.......")
    story.opened(BOB, boot=b"another node....")

    assert story.sessions_closed == []


# Who is out


def test_a_revoked_node_is_looked_for_no_more(story: Story) -> None:
    link = story.opened(ALICE, observed=HOME)
    story.banished(ALICE)

    assert story.closed(ALICE, link) == []
    assert story.neighbours.deadline() is None


def test_the_place_of_a_revoked_node_is_still_dialled_if_a_person_named_it(story: Story) -> None:
    (dial,) = story.configured(HOME)
    link = story.opened(ALICE, dial=dial.attempt, observed=HOME)
    story.banished(ALICE)

    assert story.closed(ALICE, link) == [Dial(2, HOME, None)]


def test_a_dropped_target_whose_dial_succeeds_is_learnt_anew(story: Story) -> None:
    (dial,) = story.learnt(ALICE, HOME)
    story.banished(ALICE)
    story.opened(BOB, dial=dial.attempt, observed=HOME)

    assert story.neighbours.addresses_of(BOB) == [HOME]


# Ourselves


def test_our_own_address_is_no_peer_missed_and_is_said_once(story: Story) -> None:
    (dial,) = story.configured(HOME)
    story.failed(dial, "self", "this node itself")
    story.failed(story.until_next_dial(), "self", "this node itself")

    assert story.unreached() == []
    assert [log.event for log in story.logs if log.level == WARNING] == ["configured peer is this node itself"]


def test_a_floating_address_that_was_ours_is_a_peer_again_later(story: Story) -> None:
    (dial,) = story.configured(HOME)
    story.failed(dial, "self", "this node itself")
    story.failed(story.until_next_dial())

    assert story.unreached() == [HOME]
    story.opened(ALICE, dial=story.until_next_dial().attempt, observed=HOME)
    assert story.unreached() == []


def test_an_address_of_ours_that_was_only_learnt_is_dropped(story: Story) -> None:
    (dial,) = story.learnt(ALICE, HOME)
    story.failed(dial, "self", "this node itself")

    assert story.neighbours.deadline() is None
    assert all(log.level < WARNING for log in story.logs)


def test_an_address_learnt_anew_survives_the_end_of_an_old_dial(story: Story) -> None:
    (dial,) = story.learnt(ALICE, HOME)
    story.banished(ALICE)
    (again,) = story.learnt(BOB, HOME)

    story.failed(dial, "self", "this node itself")
    story.failed(again)

    assert story.unreached() == [HOME]


# How many


@pytest.fixture
def few(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """A table that is full with these addresses."""
    addresses = [f"10.0.0.{place}:443" for place in range(1, 41)]
    monkeypatch.setattr(targets, "MOST_TARGETS", len(addresses))
    monkeypatch.setattr(neighbours, "MOST_REMEMBERED", len(addresses))
    return addresses


def test_the_table_is_bounded_and_the_oldest_that_is_not_dialled_gives_way(story: Story, few: list[str]) -> None:
    for address in few:
        story.learnt(node(address), address)
    story.learnt(ALICE, HOME)

    assert set(story.unreached()) == {*few, HOME} - {few[MOST_DIALS]}


def test_of_very_many_peers_that_went_the_latest_are_known(story: Story, few: list[str]) -> None:
    for address in [HOME, *few]:
        story.closed(node(address), story.opened(node(address), observed=address))

    assert story.neighbours.parted_at(node(HOME)) is None
    assert story.neighbours.parted_at(node(few[0])) == story.now


def test_a_person_may_name_a_peer_however_full_the_table_is(story: Story, few: list[str]) -> None:
    for address in few:
        story.configured(address)
    story.learnt(ALICE, WORK)
    story.configured(HOME)

    assert set(story.unreached()) == {*few, HOME}
