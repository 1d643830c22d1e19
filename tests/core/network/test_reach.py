"""Reach: what an edit gives and takes, against a naive look at every flow."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pulse.core.network import reach as module
from pulse.core.network.patterns import Subject
from pulse.core.network.policy import Rule
from pulse.core.network.reach import OTHERS, PORTLESS, Flows, anything, compare, joined
from pulse.core.network.rulebook import Rulebook
from tests.core.network.nodes import CAM, DB, EVERYBODY, GROUPS, PORTS, PROTOCOLS, WEB, naive, rule, rules

RETAGGED = (WEB._replace(tags=("prod",)), DB, CAM._replace(name="cam", tags=("front", "prod")))
"""The same nodes, otherwise tagged."""

QUESTIONS = [(protocol, port) for protocol in (*PROTOCOLS, 132, 255) for port in (*PORTS, 40_000)]


def book(*rules: Rule) -> Rulebook:
    return Rulebook(rules, EVERYBODY, GROUPS)


def allows(rules: list[Rule], source: Subject, destination: Subject, question: tuple[int, int]) -> bool:
    place = naive(rules, source, destination, *question)
    return not rules if place is None else rules[place].allow


@given(rules, rules, st.booleans())
def test_a_flow_is_gained_or_lost_as_a_naive_look_at_all_of_them_says(
    before: list[Rule], middle: list[Rule], retagged: bool
) -> None:
    after = [*before[:2], *middle, *before[3:]]
    later = RETAGGED if retagged else EVERYBODY
    both = [*before, *after]
    named = {protocol for each in both for protocol in each.protocols}
    found = compare(book(*before), Rulebook(after, later, GROUPS), most=100)
    gained = {(each.source, each.destination): each.flows for each in found.gained}
    lost = {(each.source, each.destination): each.flows for each in found.lost}

    assert (found.gained_pairs, found.lost_pairs) == (len(gained), len(lost))
    for source in EVERYBODY:
        for destination in EVERYBODY:
            for question in QUESTIONS:
                if source == destination or (question[0] in (1, 47) and question[0] not in named and question[1]):
                    continue
                old = allows(before, source, destination, question)
                one, other = (later[EVERYBODY.index(each)] for each in (source, destination))
                new = allows(after, one, other, question)
                pair = source, destination
                assert _holds(gained.get(pair, {}), question, named) == (new and not old)
                assert _holds(lost.get(pair, {}), question, named) == (old and not new)


def _holds(flows: Flows, question: tuple[int, int], named: set[int]) -> bool:
    protocol, port = question
    key = protocol if protocol in named else OTHERS if protocol in (6, 17, 132) else PORTLESS
    spans = flows.get(key, ())
    return bool(spans) if protocol in (1, 47, 255) else any(low <= port <= high for low, high in spans)


def test_an_edit_that_changes_too_much_is_told_in_part(monkeypatch: pytest.MonkeyPatch) -> None:
    before, after = book(rule("web", "db")), book(rule("*", "db"), rule("*", "web"))
    all_of_it = compare(before, after, most=100)
    monkeypatch.setattr(module, "MOST_COMPARED", 1)
    part = compare(before, after, most=100)

    assert (all_of_it.whole, part.whole) == (True, False)
    assert part.gained_pairs < all_of_it.gained_pairs == 3


@given(rules)
def test_nothing_is_gained_or_lost_by_the_same_rules(rules: list[Rule]) -> None:
    found = compare(book(*rules), book(*rules), most=100)

    assert (found.gained, found.lost) == ([], [])


def test_the_first_rule_takes_all_the_rest_from_everybody() -> None:
    found = compare(book(), book(rule("web", "db", protocols=[6], ports=[(22, 22)])), most=2)

    assert (found.gained, found.gained_pairs, found.lost_pairs) == ([], 0, 6)
    assert len(found.lost) == 2


def test_ports_that_touch_are_one() -> None:
    assert joined([(5, 9), (1, 4), (20, 30), (25, 26)]) == ((1, 9), (20, 30))


def test_anything_passes_if_any_flow_does() -> None:
    """Of a name in DNS nothing else is asked."""
    some = [rule("*", "cam", allow=False), rule("*", "db", protocols=[6], ports=[(22, 22)])]
    for these, source, destination, expected in (
        ([], WEB, CAM, True),
        (some, WEB, DB, True),
        (some, WEB, CAM, False),
        (some, DB, WEB, False),
        ([rule("*", "db", allow=False, protocols=[6]), *some], WEB, DB, False),
        ([rule("*", "db", allow=False, protocols=[17]), *some], WEB, DB, True),
    ):
        made = book(*these)
        assert anything(made, made.fitting(source, destination)) is expected
