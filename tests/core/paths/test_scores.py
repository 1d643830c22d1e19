"""Scores rank whole paths; costs add up, in whole numbers."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pulse.core.paths.scores import HOP_COST, MICRO, cost, micro, score


@pytest.mark.parametrize(
    ("latency", "loss", "hops", "expected"),
    [
        (0.1, 0.0, 1, 130.0),
        (0.1, 0.0, 2, 160.0),
        (0.1, 0.1, 1, 195.0),
        (0.02, 1.0, 3, 228.0),
    ],
)
def test_the_score_grows_with_latency_loss_and_hops(latency: float, loss: float, hops: int, expected: float) -> None:
    assert score(latency, loss, hops) == pytest.approx(expected)


def test_paths_below_a_millisecond_differ_by_their_hops_only() -> None:
    assert score(0.00004, 0.0, 1) == score(0.0009, 0.0, 1) == pytest.approx(1.3)
    assert score(0.00004, 0.0, 2) == pytest.approx(1.6)


@given(rtt=st.integers(0, 10 * MICRO), loss=st.integers(0, MICRO))
def test_the_cost_of_a_link_is_a_whole_number_near_the_formula(rtt: int, loss: int) -> None:
    assert isinstance(cost(rtt, loss), int)
    assert cost(rtt, loss) == pytest.approx(rtt * (1 + 5 * loss / MICRO) + HOP_COST, abs=1)


def test_of_two_ways_of_one_length_the_one_over_fewer_nodes_is_shorter() -> None:
    assert cost(20_000, 0) < cost(10_000, 0) + cost(10_000, 0)


def test_seconds_and_losses_become_whole_millionths() -> None:
    assert micro(0.0123) == 12_300
    assert micro(1.0) == MICRO
