"""Interference: what happens now and then is no problem, what happens again and again is one until it stops."""

import pytest

from pulse.core.network.interference import LOSSES, PROBLEM, SPAN, Interference


def lost(made: Interference, *times: float) -> str:
    for now in times:
        made.looked(now, missing=True)
    return made.problem


def test_so_often_in_a_minute_is_a_problem_with_the_next_step_and_once_less_is_none() -> None:
    made = Interference()

    assert lost(made, *range(LOSSES - 1)) == ""
    assert lost(made, SPAN - 0.1) == PROBLEM
    assert "See which: ip monitor rule route" in PROBLEM


@pytest.mark.parametrize("pause", [SPAN / (LOSSES - 1), SPAN, 3600.0])
def test_now_and_then_never_is(pause: float) -> None:
    made = Interference()

    assert lost(made, *(pause * number for number in range(100))) == ""


def test_it_is_over_once_nothing_was_missing_for_a_while() -> None:
    made = Interference()
    assert lost(made, *range(LOSSES)) == PROBLEM

    made.looked(SPAN - 0.1, missing=False)
    assert made.problem == PROBLEM
    made.looked(SPAN, missing=False)
    assert made.problem == ""
