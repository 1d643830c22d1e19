"""Neighbours: who is dialled, when again, and what is known of links."""

import pytest

from pulse.core.effects import WARNING, Dial, Effect, Log
from pulse.core.facts import DialFailed, LinkDown
from pulse.core.paths import neighbours
from pulse.core.paths.neighbours import HEALTHY_AFTER, MOST_DIALS, MOST_PLACES, Neighbours
from pulse.core.types import LinkId, NodeId
from tests.authority import node
from tests.mint import Latest, link_up

ALICE, BOB = node("alice"), node("bob")
HOME, WORK = "192.0.2.1:443", "198.51.100.1:443"


class Story:
    """Neighbours and the time, told line by line; each line returns the dials it caused."""

    def __init__(self) -> None:
        self.neighbours = Neighbours(Latest())
        self.now = 1000.0
        self.links = 0
        self.logs: list[Log] = []

    def configured(self, address: str) -> list[Dial]:
        return self._dials(self.neighbours.peer_configured(address, self.now))

    def learnt(self, who: NodeId, address: str) -> list[Dial]:
        return self._dials(self.neighbours.peer_learnt(who, address, self.now))

    def opened(self, who: NodeId, *, dial: int = 0, observed: str = "192.0.2.9:1234") -> LinkId:
        self.links += 1
        self.neighbours.link_opened(link_up(who, self.links, dial=dial, observed=observed), self.now)
        return LinkId(self.links)

    def closed(self, who: NodeId, link: LinkId, reason: str = "idle") -> list[Dial]:
        return self._dials(self.neighbours.link_closed(LinkDown(link, who, reason), self.now))

    def failed(self, dial: Dial, code: str = "timeout", detail: str = "no answer") -> list[Dial]:
        return self._dials(self.neighbours.dial_failed(DialFailed(dial.attempt, code, detail), self.now))

    def banished(self, *nodes: NodeId) -> None:
        assert self.neighbours.peers_banished(nodes) == []

    def passed(self, seconds: float) -> list[Dial]:
        self.now += seconds
        return self._dials(self.neighbours.tick(self.now))

    def until_next_dial(self) -> Dial:
        deadline = self.neighbours.deadline()
        assert deadline is not None
        (dial,) = self.passed(max(0.0, deadline - self.now))
        return dial

    def unreached(self) -> list[str]:
        return [each.address for each in self.neighbours.unreached()]

    def _dials(self, effects: list[Effect]) -> list[Dial]:
        self.logs += [effect for effect in effects if isinstance(effect, Log)]
        return [effect for effect in effects if isinstance(effect, Dial)]


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

    assert [type(each) for each in story.neighbours.addresses_changed(story.now)] == [Dial]


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
    monkeypatch.setattr(neighbours, "MOST_TARGETS", len(addresses))
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
