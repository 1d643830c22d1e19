"""Quests: where a wanted node is looked for, and where never."""

from ipaddress import IPv4Network

import pytest

from pulse.core.paths import quests
from pulse.core.paths.quests import Quest, Quests
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
