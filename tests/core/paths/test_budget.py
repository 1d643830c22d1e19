"""Budgets: what comes over them is dropped, who keeps on is closed, and what we send never meets them."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pulse.core.paths.budget import INCOMING, OUTGOING, Budget, Pace, Tempo, Verdict
from tests.authority import node


def test_within_its_budget_a_neighbour_is_never_dropped() -> None:
    budget = Budget(0.0)
    for tenth in range(600):
        assert budget.judge(20, 6500, tenth / 10) is Verdict.TAKE


@pytest.mark.parametrize(("records", "size"), [(1, 10), (0, 400)])
def test_over_it_the_rest_is_dropped_and_the_patience_ends(records: int, size: int) -> None:
    budget = Budget(0.0)
    verdicts = [budget.judge(records, size, 0.0) for _ in range(5000)]
    first_drop, first_close = verdicts.index(Verdict.DROP), verdicts.index(Verdict.CLOSE)
    assert first_drop < first_close
    assert set(verdicts[:first_drop]) == {Verdict.TAKE}
    assert Verdict.TAKE not in verdicts[first_drop:]


def test_a_little_over_it_is_throttled_for_ever() -> None:
    budget = Budget(0.0)
    verdicts = {budget.judge(1, 10, number / 240) for number in range(240 * 120)}
    assert verdicts == {Verdict.TAKE, Verdict.DROP}


@settings(max_examples=20)
@given(small=st.integers(100, 1090), big=st.integers(100, 1090), late=st.floats(0, 1))
def test_what_keeps_our_pace_keeps_every_neighbours_budget(small: int, big: int, late: float) -> None:
    pace, budget, now = Pace(0.0), Budget(0.0), 0.0
    arrivals: list[tuple[float, int]] = []
    for size in (small, big) * 250:
        if not pace.is_ready(now):
            now = pace.ready_at(now) + 1e-9
        pace.spend(1, size, now)
        arrivals.append((now if now > 1.5 else max(now, late), size))
    assert all(budget.judge(1, size, when) is Verdict.TAKE for when, size in arrivals)


def test_we_send_less_than_we_take() -> None:
    assert OUTGOING.records < INCOMING.records
    assert OUTGOING.size < INCOMING.size
    assert OUTGOING.burst < INCOMING.burst


def test_a_node_has_a_burst_and_then_one_a_second() -> None:
    tempo = Tempo()
    alice, bob = node("alice"), node("bob")
    assert [tempo.take(alice, 10.0) for _ in range(6)] == [10.0] * 5 + [11.0]
    assert tempo.take(bob, 10.0) == 10.0
    assert tempo.take(alice, 10.5) == 11.0
    assert tempo.take(alice, 11.0) == 11.0
    assert tempo.take(alice, 11.0) == 12.0


def test_who_has_been_calm_is_not_remembered() -> None:
    tempo = Tempo()
    for number in range(100):
        tempo.take(node(str(number)), 0.0)
    assert len(tempo) == 100
    tempo.take(node("another"), 5.0)
    assert len(tempo) == 1
