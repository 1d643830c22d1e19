"""Targets: which places are kept."""

from random import Random

import pytest

from pulse.core.paths import targets
from pulse.core.paths.backoff import Backoff
from pulse.core.paths.targets import MOST_PLACES, Target, Targets
from tests.core.paths.story import ALICE, BOB, HOME, WORK


def places(idle: bool = True) -> Targets:
    return Targets(lambda: Backoff(Random(1)), lambda _: idle)


def kept(some: Targets) -> list[str]:
    return [each.address for each in some]


def test_whoever_answers_at_a_place_a_person_named_is_welcome_elsewhere_it_must_be_that_node() -> None:
    some = places()
    some.name(HOME, 0.0)
    some.learn(ALICE, WORK, 0.0)

    assert [each.expect for each in some] == [None, ALICE]


def test_a_learnt_place_that_a_person_names_is_kept_as_named() -> None:
    some = places()
    some.learn(ALICE, HOME, 0.0)
    some.name(HOME, 0.0)
    some.banish({ALICE})

    target = some.get(HOME)
    assert target is not None
    assert (target.configured, target.node) == (True, None)


def test_of_one_node_the_newest_places_are_kept() -> None:
    some = places()
    for place in range(MOST_PLACES + 2):
        some.learn(ALICE, f"192.0.2.{place}:443", 0.0)
    some.learn(BOB, WORK, 0.0)

    assert kept(some) == [*(f"192.0.2.{place}:443" for place in range(2, MOST_PLACES + 2)), WORK]
    assert len(list(some.leading_to(ALICE))) == MOST_PLACES


def test_a_full_table_drops_the_oldest_idle_learnt_place(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(targets, "MOST_TARGETS", 2)
    some = places()
    some.name(HOME, 0.0)
    some.learn(ALICE, WORK, 0.0)
    some.learn(BOB, "192.0.2.9:443", 0.0)

    assert kept(some) == [HOME, "192.0.2.9:443"]


def test_a_full_table_of_busy_places_takes_only_what_a_person_names(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(targets, "MOST_TARGETS", 1)
    some = places(idle=False)
    some.learn(ALICE, WORK, 0.0)
    some.learn(BOB, "192.0.2.9:443", 0.0)
    assert kept(some) == [WORK]

    some.name(HOME, 0.0)
    assert kept(some) == [WORK, HOME]


def test_only_that_very_target_is_dropped() -> None:
    some = places()
    some.learn(ALICE, HOME, 0.0)
    some.drop(Target(HOME, False, Backoff(Random(1))))
    assert kept(some) == [HOME]

    (target,) = some
    some.drop(target)
    assert kept(some) == []


# Heard on a LAN


def test_where_a_node_was_heard_stands_for_no_other_and_pushes_none_out() -> None:
    some = places()
    some.learn(ALICE, HOME, 0.0)
    for place in range(MOST_PLACES + 2):
        some.hear(BOB, f"192.0.3.{place}:443", 5.0, 0.0)
    some.hear(BOB, HOME, 5.0, 0.0)
    some.learn(BOB, WORK, 6.0)

    learnt = some.get(HOME)
    assert learnt is not None
    assert (learnt.node, learnt.next_try, learnt.heard) == (ALICE, 0.0, False)
    assert [each.node for each in some if each.address == HOME] == [ALICE, BOB]
    assert len(list(some.leading_to(BOB))) == MOST_PLACES + 4


def test_a_known_place_of_a_node_that_was_heard_there_is_tried_at_once() -> None:
    some = places()
    some.learn(ALICE, HOME, 0.0)
    some.name(WORK, 0.0)
    for target in some:
        target.next_try = 99.0
    some.hear(ALICE, HOME, 5.0, 1.0)
    some.hear(BOB, WORK, 5.0, 1.0)

    assert [(each.address, each.next_try) for each in some] == [(HOME, 4.0), (WORK, 4.0)]


def test_a_place_that_a_person_names_needs_no_dial_for_who_was_heard_there() -> None:
    some = places()
    some.hear(ALICE, HOME, 5.0, 0.0)
    some.name(HOME, 6.0)

    assert [(each.address, each.expect) for each in some] == [(HOME, None)]


def test_of_places_where_nodes_were_heard_so_many_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(targets, "MOST_HEARD", 2)
    some = places()
    for place in range(5):
        some.hear(BOB, f"192.0.2.{place}:443", 0.0, 0.0)

    assert kept(some) == ["192.0.2.3:443", "192.0.2.4:443"]


def test_a_place_where_a_node_was_heard_is_dropped_alone() -> None:
    some = places()
    some.hear(ALICE, HOME, 0.0, 0.0)
    some.hear(BOB, HOME, 0.0, 0.0)
    (first, _) = some
    some.drop(first)
    assert [each.node for each in some] == [BOB]

    some.banish({BOB})
    assert kept(some) == []
