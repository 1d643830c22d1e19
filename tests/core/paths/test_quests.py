"""Quests: where a wanted node is looked for, and where never."""

from ipaddress import IPv4Network

import pytest

from pulse.core.paths import quests
from pulse.core.paths.quests import MOST_FLYING, MOVES, Quest, Quests
from tests.authority import node
from tests.core.paths.story import ALICE, BOB, HOME, WORK
from tests.mint import Latest


def wanting(*candidates: str, own: tuple[str, ...] = ()) -> Quests:
    looking = Quests(Latest())
    looking.own_addresses(own)
    looking.ranges_known((IPv4Network("10.100.0.0/16"),))
    looking.wanted({ALICE: candidates}, frozenset(), 0.0)
    return looking


def places(looking: Quests) -> tuple[str, ...]:
    quest = looking.get(ALICE)
    assert quest is not None
    return quest.places


def test_nobody_is_looked_for_inside_the_mesh_itself_nor_where_we_are() -> None:
    assert places(wanting("10.100.3.4:443", "[2001:db8::1]:443", WORK, HOME, own=(WORK,))) == (
        "[2001:db8::1]:443",
        HOME,
    )


def test_no_more_nodes_are_looked_for_than_allowed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(quests, "MOST_QUESTS", 2)
    looking = Quests(Latest())
    looking.wanted({node(str(each)): (HOME,) for each in range(5)}, frozenset(), 0.0)

    assert len(list(looking)) == 2


def test_where_a_node_was_seen_is_set_aside_if_it_has_better_places_or_is_not_needed() -> None:
    looking = Quests(Latest())
    looking.wanted({ALICE: (HOME,), BOB: ()}, frozenset({node("carol")}), 0.0)

    found = [looking.sets_aside(each) for each in (ALICE, BOB, node("carol"), node("dave"), None)]
    assert found == [True, False, True, False, False]


def test_a_round_that_lost_all_its_places_does_not_last_for_ever() -> None:
    looking = wanting(HOME, WORK)
    looking.begin_due(frozenset(), 10.0)
    ((_, quest, _), _) = looking.waiting(frozenset())
    assert isinstance(quest, Quest)

    looking.own_addresses({HOME, WORK})
    looking.own_addresses(())
    assert list(looking.waiting(frozenset())) == []
    assert looking.deadline(frozenset()) == 10.0
    looking.begin_due(frozenset(), 10.0)
    assert [place for _, _, place in looking.waiting(frozenset())] == [HOME, WORK]


# Who says it is elsewhere all day


def dialled(looking: Quests, now: float) -> list[str]:
    """What is dialled at that time, and fails at once."""
    looking.begin_due(frozenset(), now)
    due = [(quest, place) for _, quest, place in looking.waiting(frozenset())]
    for quest, place in due:
        quest.take_off(place)
    for quest, place in due:
        assert isinstance(quest, Quest)
        quest.landed(place)
        quest.failed("no answer", now)
    return [place for _, place in due]


def test_a_node_that_names_other_places_every_second_cannot_have_everybody_knock_there() -> None:
    """Each place may be a stranger's: six a second from each of a hundred nodes would be a flood."""
    looking, knocks = Quests(Latest()), 0
    for second in range(600):
        looking.wanted({ALICE: tuple(f"192.0.2.{each}:{1 + second}" for each in range(6))}, frozenset(), second)
        knocks += len(dialled(looking, second + 0.6))

    assert knocks < 600


def test_it_is_not_forgotten_by_being_unwanted_for_a_moment() -> None:
    looking, knocks = Quests(Latest()), 0
    for second in range(100):
        looking.wanted({ALICE: (HOME,)}, frozenset(), second)
        knocks += len(dialled(looking, second + 0.6))
        looking.wanted({}, frozenset({ALICE}), second + 0.7)

    assert knocks <= MOVES + 10


def test_a_node_that_moved_too_often_is_looked_for_a_little_later() -> None:
    looking = Quests(Latest())
    for move in range(MOVES + 1):
        looking.wanted({ALICE: (f"192.0.2.1:{1 + move}",)}, frozenset(), 0.0)

    due = looking.deadline(frozenset())
    assert due is not None
    assert 1.0 < due < 30.0
    assert dialled(looking, due) == [f"192.0.2.1:{MOVES + 1}"]


def test_of_one_node_only_so_many_places_are_dialled_at_a_time_and_nothing_spins_meanwhile() -> None:
    looking = Quests(Latest())
    taken: list[tuple[Quest, str]] = []
    for move in range(4):
        looking.wanted({ALICE: tuple(f"192.0.2.{each}:{1 + move}" for each in range(6))}, frozenset(), move)
        looking.begin_due(frozenset(), move + 0.6)
        for _, quest, place in [*looking.waiting(frozenset())]:
            assert isinstance(quest, Quest)
            quest.take_off(place)
            taken.append((quest, place))
    assert len(taken) == MOST_FLYING
    assert looking.deadline(frozenset()) is None

    quest, place = taken[0]
    quest.landed(place)
    assert len([*looking.waiting(frozenset())]) == 1
