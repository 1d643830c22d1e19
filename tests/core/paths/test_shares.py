"""Shares: how hard it is to move flows that are well where they are."""

from itertools import pairwise
from math import ceil

import pytest

from pulse.core.paths.holds import FIRST
from pulse.core.paths.shares import FULL_SHARE, SETTLING, Shares
from pulse.core.paths.ways import NO_TREE, Way
from tests.core.paths.atlas import link, number, who


class Sharing:
    """The shares of one node over time, a sample a second; the best way is by neighbour 1 unless it is said."""

    def __init__(self) -> None:
        self.shares = Shares()
        self.now = 100.0
        self.weights: dict[int, int] = {}

    def settled(self) -> "Sharing":
        """Two ways of one worth, known for long enough."""
        self.sees({1: 10.0, 2: 10.0}, samples=ceil(SETTLING))
        return self

    def sees(self, scores: dict[int, float], *, best: int = 1, samples: int = 1, counts: bool = True) -> dict[int, int]:
        fit = [Way(score, who(by), False, False, score / 1000, 0.0, link(by), NO_TREE) for by, score in scores.items()]
        (first,) = (way for way in fit if way.neighbour == who(best))
        for _ in range(samples):
            self.now += 1.0
            settled = self.shares.settle(first, fit, self.now, counts=counts)
            self.weights = {number(way.neighbour): weight for way, weight in settled}
        return self.weights


@pytest.fixture
def sharing() -> Sharing:
    return Sharing()


def test_other_shares_are_taken_after_three_samples_that_agree(sharing: Sharing) -> None:
    assert sharing.sees({1: 10.0, 2: 10.0}) == {1: 1000, 2: 1000}

    assert [sharing.sees({1: 10.0, 2: 20.0})[2] for _ in range(4)] == [1000, 1000, 500, 500]


def test_samples_that_disagree_and_looks_that_are_none_count_nothing(sharing: Sharing) -> None:
    sharing.sees({1: 10.0, 2: 10.0})
    for _ in range(20):
        sharing.sees({1: 10.0, 2: 20.0}, samples=2)
        assert sharing.sees({1: 10.0, 2: 11.0})[2] == 1000
    assert sharing.sees({1: 10.0, 2: 20.0}, samples=20, counts=False)[2] == 1000
    assert sharing.shares.is_off


def test_what_is_off_by_less_than_half_stays(sharing: Sharing) -> None:
    sharing.sees({1: 10.0, 2: 10.0})

    assert sharing.sees({1: 10.0, 2: 14.9}, samples=100)[2] == 1000
    assert not sharing.shares.is_off


def test_after_a_change_the_next_one_waits_and_the_one_after_waits_longer(sharing: Sharing) -> None:
    sharing.settled()
    waits = []
    for score, weight in ((40.0, 250), (10.0, 1000), (40.0, 250), (10.0, 1000)):
        before = sharing.now
        while sharing.sees({1: 10.0, 2: score})[2] != weight:
            pass
        waits.append(sharing.now - before)

    assert waits == [3, FIRST + 2, 2 * FIRST + 2, 4 * FIRST + 2]


def test_at_first_shares_follow_without_a_hold_for_new_links_are_guessed_at(sharing: Sharing) -> None:
    sharing.sees({1: 10.0, 2: 10.0})
    assert sharing.sees({1: 10.0, 2: 900.0}, samples=3) == {1: 1000}
    assert sharing.sees({1: 10.0, 2: 10.0}, samples=3) == {1: 1000, 2: 1000}


def test_a_way_that_is_not_viable_any_more_is_left_the_same_way_and_comes_back_the_same_way(sharing: Sharing) -> None:
    sharing.settled()
    assert sharing.sees({1: 10.0, 2: 900.0}, samples=2) == {1: 1000, 2: 1000}
    assert sharing.sees({1: 10.0, 2: 900.0}) == {1: 1000}

    assert sharing.sees({1: 10.0, 2: 10.0}, samples=8) == {1: 1000}
    assert sharing.sees({1: 10.0, 2: 10.0}, samples=2) == {1: 1000, 2: 1000}


def test_what_fails_leaves_at_once_and_the_others_keep_their_proportions(sharing: Sharing) -> None:
    sharing.sees({1: 10.0, 2: 20.0, 3: 40.0})
    # 2 is gone, and 3 is somewhat better than when it was weighed.
    assert sharing.sees({1: 10.0, 3: 30.0}) == {1: 1000, 3: 250}
    # The best is gone too.
    assert sharing.sees({3: 30.0, 4: 30.0}, best=3) == {3: 750, 4: 1000}


def test_what_was_not_there_before_joins_at_once(sharing: Sharing) -> None:
    sharing.sees({1: 10.0, 2: 10.0})
    sharing.sees({1: 10.0, 2: 40.0}, samples=3)

    assert sharing.sees({1: 10.0, 2: 40.0, 3: 20.0}) == {1: 1000, 3: 500, 2: 250}


def test_another_best_way_is_a_new_beginning(sharing: Sharing) -> None:
    sharing.sees({1: 10.0, 2: 10.0})

    assert sharing.sees({1: 50.0, 2: 10.0}, best=2) == {2: 1000, 1: 200}


def test_scores_that_waver_change_nothing_not_even_the_order(sharing: Sharing) -> None:
    first = sharing.sees({1: 10.0, 2: 11.0, 3: 12.0})
    for scores in ({2: 13.0, 3: 11.0}, {2: 10.0, 3: 14.0}, {2: 9.0, 3: 8.5}) * 10:
        assert list(sharing.sees({1: 10.0, **scores}).items()) == list(first.items())


def test_a_flow_that_fills_its_path_does_not_chase_itself_from_path_to_path(sharing: Sharing) -> None:
    sharing.settled()
    scores, taken = {1: 2.0, 2: 2.0}, [1]
    for _ in range(600):
        weights = sharing.sees(scores)
        # One flow, which the data plane keeps where it is while the shares are alike.
        heaviest = max(weights, key=lambda by: (weights[by], by == taken[-1]))
        taken.append(taken[-1] if weights.get(taken[-1]) == FULL_SHARE else heaviest)
        # Behind it grows a queue; the one it left empties.
        scores = {by: 80.0 if by == taken[-1] else 2.0 for by in scores}

    assert sum(one != other for one, other in pairwise(taken)) <= 7
