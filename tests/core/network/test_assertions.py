"""Assertions: what must always or never pass holds for every node and every hour, or is named."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pulse.core.network import assertions as asserting
from pulse.core.network import rulebook
from pulse.core.network.assertions import Assertion, breaches, describe_assertion
from pulse.core.network.hours import Window
from pulse.core.network.policy import Rule
from pulse.core.network.rulebook import covers
from pulse.errors import Refused
from tests.core.network.nodes import DB, EVERYBODY, GROUPS, PATTERNS, WEB, naive, naive_fits, rule, rules

CLOSED = Assertion("t1", "*", "tag:prod", allow=False, protocol=6, port=22)
OPEN = Assertion("t2", "group:ops", "db", allow=True, protocol=6, port=5432)


def broken(assertion: Assertion, *rules: Rule, wall: float = 0.0) -> bool:
    return bool(breaches([assertion], rules, EVERYBODY, GROUPS, wall))


def test_a_breach_names_two_nodes_and_the_rule_that_decides() -> None:
    (found,) = breaches([OPEN, CLOSED], [rule("*", "*", ports=[(80, 90)]), rule("*", "*")], EVERYBODY, GROUPS, 0.0)

    assert found == (CLOSED, WEB, DB, 1)
    assert describe_assertion(CLOSED) == "* → tag:prod tcp 22 must be denied"


def test_what_may_pass_for_some_hours_is_neither_always_allowed_nor_always_denied() -> None:
    hours = rule("*", "*", window=Window(0b1, 0, 60))

    assert broken(CLOSED, hours)
    assert broken(OPEN, hours)
    assert not broken(CLOSED, rule("*", "*", expires=10.0), wall=11.0)


def test_an_assertion_about_nobody_holds() -> None:
    assert not broken(Assertion("t", "tag:none", "*", allow=True, protocol=6, port=1), rule("web", "web"))


def test_more_pairs_than_anybody_would_wait_for_are_refused_with_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    apart = [rule(each.node, "*", ports=[(22, 22)]) for each in EVERYBODY]
    monkeypatch.setattr(asserting, "MOST_COMPARED", 4 * len(EVERYBODY))
    everybody = Assertion("t", "*", "*", allow=True, protocol=6, port=22)

    assert breaches([everybody], apart, EVERYBODY, GROUPS, 0.0) == []
    with pytest.raises(Refused, match="Have fewer of them"):
        breaches([everybody] * 3, apart, EVERYBODY, GROUPS, 0.0)


def test_a_rule_is_looked_at_once_for_a_test_and_not_for_each_pair_of_nodes(monkeypatch: pytest.MonkeyPatch) -> None:
    looked: list[Rule] = []

    def counted(one: Rule, protocol: int, port: int) -> bool:
        looked.append(one)
        return covers(one, protocol, port)

    monkeypatch.setattr(rulebook, "covers", counted)
    others = [rule("*", "*", allow=False, ports=[(81 + number, 81 + number)]) for number in range(100)]
    apart = [rule(each.node, each.node) for each in EVERYBODY]
    tests = [Assertion(f"t{number}", "*", "*", allow=True, protocol=6, port=22) for number in range(8)]

    assert breaches(tests, [*others, *apart, rule("*", "*")], EVERYBODY, GROUPS, 0.0) == []
    assert len(looked) == 8 * 2 * (len(others) + len(apart) + 1)


assertions = st.builds(
    Assertion,
    id=st.just("t"),
    source=st.sampled_from(PATTERNS),
    destination=st.sampled_from(PATTERNS),
    allow=st.booleans(),
    protocol=st.sampled_from([1, 6, 17]),
    port=st.integers(0, 5),
)


@given(rules, assertions)
def test_it_holds_if_it_does_for_every_pair_of_nodes(rules: list[Rule], assertion: Assertion) -> None:
    def holds() -> bool:
        for source in EVERYBODY:
            for destination in EVERYBODY:
                named = naive_fits(source, [assertion.source], allow=True) and naive_fits(
                    destination, [assertion.destination], allow=True
                )
                if source == destination or not named:
                    continue
                place = naive(rules, source, destination, assertion.protocol, assertion.port)
                allowed = not rules if place is None else rules[place].allow
                if allowed != assertion.allow:
                    return False
        return True

    assert broken(assertion, *rules) != holds()
