"""Spread: who carries how much, and how hard it is to change that."""

import json
from itertools import pairwise
from pathlib import Path
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pulse.core.paths.choice import Choice, choose
from pulse.core.paths.holds import FIRST
from pulse.core.paths.scores import score
from pulse.core.paths.shares import FULL_SHARE, MOST_SHARES, VIABLE
from pulse.core.paths.ways import NO_TREE, Way
from tests.core.paths.atlas import link, number, who

ITSELF = 9

VECTORS = Path(__file__).parents[2] / "vectors" / "shares.json"
"""What the weights come to in the data plane: its own test writes it."""


def way(by: int, score: float) -> Way:
    """A way by a neighbour; by node 9, which all this is about, it is the direct one."""
    return Way(score, who(by), by == ITSELF, False, score / 1000, 0.0, link(by), NO_TREE)


class Chooser:
    """One node's choice over time; scores by neighbour."""

    def __init__(self) -> None:
        self.choice: Choice | None = None
        self.now = 100.0
        self.shares: dict[int, int] = {}

    def sees(self, scores: dict[int, float], held: dict[int, float] | None = None, *, samples: int = 1) -> int:
        """So many samples, a second apart; the best way after them."""
        fit = [way(by, score) for by, score in scores.items()]
        rest = [way(by, score) for by, score in (held or {}).items()]
        for _ in range(samples):
            self.now += 1.0
            self.choice = choose(fit, self.choice, self.now, counts=True)
            self.shares = {
                number(each.neighbour): weight for each, weight in self.choice.share(fit, rest, self.now, counts=True)
            }
        return next(iter(self.shares))


@pytest.fixture
def chooser() -> Chooser:
    return Chooser()


# Shares


def test_a_way_ten_times_as_good_gets_ten_times_the_flows(chooser: Chooser) -> None:
    chooser.sees({1: 5.0, 2: 50.0})

    assert chooser.shares == {1: 1000, 2: 100}


def test_the_data_plane_is_tested_with_the_weights_that_come_of_5_and_50_ms(chooser: Chooser) -> None:
    ways = json.loads(VECTORS.read_text(encoding="utf-8"))["vectors"]
    scores = {by: score(way["latency_ms"] / 1000, 0.0, 2) for by, way in enumerate(ways, 1)}
    chooser.sees(scores)

    assert [way["latency_ms"] for way in ways] == [5, 50]
    assert list(chooser.shares.values()) == [way["weight"] for way in ways]
    assert ways[0]["flows"] / ways[1]["flows"] == pytest.approx(10, rel=0.2)


def test_a_way_more_than_sixteen_times_worse_carries_nothing_but_is_a_backup(chooser: Chooser) -> None:
    chooser.sees({1: 5.0, 2: 81.0, 3: 400.0})

    assert chooser.shares == {1: 1000, 2: 0}


@given(scores=st.dictionaries(st.integers(1, 8), st.floats(1.0, 10_000.0), min_size=1))
def test_shares_are_in_proportion_to_the_scores_turned_upside_down(scores: dict[int, float]) -> None:
    chooser = Chooser()
    best = chooser.sees(scores)
    low = min(scores.values())

    assert scores[best] == low
    assert chooser.shares[best] == FULL_SHARE
    carrying = {by: weight for by, weight in chooser.shares.items() if weight}
    assert set(carrying) == {by for by, score in scores.items() if score <= VIABLE * low}
    for by, weight in carrying.items():
        assert weight == pytest.approx(FULL_SHARE * low / scores[by], abs=0.5)


def test_no_more_ways_than_allowed_carry_flows(chooser: Chooser) -> None:
    chooser.sees({by: 10.0 + by for by in range(10, 30)})

    assert len(chooser.shares) == MOST_SHARES + 1
    assert chooser.shares[10 + MOST_SHARES] == 0


def test_an_only_way_has_no_backup(chooser: Chooser) -> None:
    chooser.sees({1: 5.0})

    assert chooser.shares == {1: 1000}


# Tiers


def test_a_relayed_way_is_left_out_while_the_direct_one_is_at_most_twice_as_bad(chooser: Chooser) -> None:
    assert chooser.sees({ITSELF: 100.0, 1: 50.0, 2: 60.0}) == ITSELF
    assert chooser.shares == {ITSELF: 1000, 1: 0}


def test_a_much_worse_direct_way_shares_with_relayed_ones(chooser: Chooser) -> None:
    assert chooser.sees({ITSELF: 200.0, 1: 50.0, 2: 160.0}) == 1
    assert chooser.shares == {1: 1000, ITSELF: 250, 2: 0}


def test_a_direct_way_that_turns_up_is_used_at_once(chooser: Chooser) -> None:
    chooser.sees({1: 50.0})

    assert chooser.sees({1: 50.0, ITSELF: 90.0}) == ITSELF


def test_a_direct_way_that_gets_worse_is_left_after_three_samples(chooser: Chooser) -> None:
    chooser.sees({ITSELF: 10.0, 1: 20.0})

    assert [chooser.sees({ITSELF: 50.0, 1: 20.0}) for _ in range(3)] == [ITSELF, ITSELF, 1]


def test_a_direct_way_that_gets_better_again_is_taken_after_its_hold_and_three_samples(chooser: Chooser) -> None:
    chooser.sees({ITSELF: 10.0, 1: 20.0})
    chooser.sees({ITSELF: 50.0, 1: 20.0}, samples=3)
    left = chooser.now

    while chooser.sees({ITSELF: 30.0, 1: 20.0}) != ITSELF:
        assert chooser.shares[ITSELF] > 0
    assert chooser.now - left == FIRST + 2


def test_a_relayed_way_at_the_border_does_not_come_and_go_with_noise(chooser: Chooser) -> None:
    chooser.sees({ITSELF: 100.0, 1: 20.0, 2: 39.0})
    assert 2 in chooser.shares

    for noisy in (41.0, 39.0, 49.0, 45.0, 41.5):
        chooser.sees({ITSELF: 100.0, 1: 20.0, 2: noisy})
        assert chooser.shares[2] > 0
    chooser.sees({ITSELF: 100.0, 1: 20.0, 2: 51.0}, samples=3)
    assert chooser.shares[2] == 0
    chooser.sees({ITSELF: 100.0, 1: 20.0, 2: 45.0}, samples=50)
    assert chooser.shares[2] == 0


# Changes of mind


def test_a_better_way_is_taken_after_three_samples(chooser: Chooser) -> None:
    chooser.sees({1: 50.0, 2: 60.0})

    assert [chooser.sees({1: 50.0, 2: 40.0}) for _ in range(4)] == [1, 1, 2, 2]


@pytest.mark.parametrize(("ours", "other"), [(20.0, 15.1), (200.0, 180.1)])
def test_a_way_that_is_little_better_is_not_taken(chooser: Chooser, ours: float, other: float) -> None:
    chooser.sees({1: ours, 2: ours + 1})

    assert chooser.sees({1: ours, 2: other}, samples=50) == 1


def test_samples_in_between_that_disagree_start_the_count_anew(chooser: Chooser) -> None:
    chooser.sees({1: 50.0, 2: 60.0})
    chooser.sees({1: 50.0, 2: 40.0}, samples=2)
    chooser.sees({1: 50.0, 2: 49.0})

    assert chooser.sees({1: 50.0, 2: 40.0}, samples=2) == 1


def test_looks_that_are_no_samples_do_not_count(chooser: Chooser) -> None:
    fit = [way(1, 50.0), way(2, 40.0)]
    choice = choose([way(1, 50.0)], None, 0.0, counts=True)
    for _ in range(50):
        choice = choose(fit, choice, 0.0, counts=False)

    assert choice.best == who(1)
    assert choice.is_beaten


def test_after_a_change_the_next_one_waits_and_the_one_after_waits_longer(chooser: Chooser) -> None:
    chooser.sees({1: 50.0, 2: 60.0})
    worse, better = {1: 90.0, 2: 50.0}, {1: 50.0, 2: 90.0}
    waits = []
    for scores, expected in ((worse, 2), (better, 1), (worse, 2), (better, 1)):
        before = chooser.now
        while chooser.sees(scores) != expected:
            pass
        waits.append(chooser.now - before)

    assert waits == [3, 8 + 2, 16 + 2, 32 + 2]


@settings(max_examples=15)
@given(seed=st.integers(0, 2**32))
def test_of_two_ways_of_one_worth_noise_makes_few_changes_and_ever_fewer(seed: int) -> None:
    # The hold after the nth change lasts 8 * 2^(n-1) seconds: of those of ten minutes six end.
    assert changes(seed, noise=0.2) <= 7
    assert changes(seed, noise=0.02) == 0


def changes(seed: int, noise: float) -> int:
    """How often the best of two ways of score 50 changed in ten minutes."""
    chooser, random = Chooser(), Random(seed)
    best = [chooser.sees({by: random.gauss(50, 50 * noise) for by in (1, 2)}) for _ in range(600)]
    return sum(one != other for one, other in pairwise(best))


def test_what_fails_is_left_at_once_whatever_holds(chooser: Chooser) -> None:
    chooser.sees({1: 50.0, 2: 60.0})
    chooser.sees({1: 90.0, 2: 60.0}, samples=3)
    assert chooser.sees({1: 90.0, 2: 60.0}) == 2

    assert chooser.sees({1: 90.0}, held={2: 60.0}) == 1
    assert chooser.shares == {1: 1000, 2: 0}


# Backup


def test_the_backup_stays_while_it_is_there_and_no_other_is_twice_as_good(chooser: Chooser) -> None:
    chooser.sees({ITSELF: 10.0, 1: 20.0, 2: 21.0})
    assert chooser.shares == {ITSELF: 1000, 1: 0}

    chooser.sees({ITSELF: 10.0, 1: 20.0, 2: 15.0})
    assert chooser.shares == {ITSELF: 1000, 1: 0}
    chooser.sees({ITSELF: 10.0, 1: 40.0, 2: 15.0})
    assert chooser.shares == {ITSELF: 1000, 2: 0}
    chooser.sees({ITSELF: 10.0, 1: 40.0})
    assert chooser.shares == {ITSELF: 1000, 1: 0}


def test_a_healthy_backup_goes_before_a_suspect_one(chooser: Chooser) -> None:
    chooser.sees({ITSELF: 10.0, 1: 20.0}, held={2: 10.0})
    assert chooser.shares == {ITSELF: 1000, 1: 0}

    chooser.sees({ITSELF: 10.0}, held={2: 10.0})
    assert chooser.shares == {ITSELF: 1000, 2: 0}
