"""Backoff: windows double up to the cap, and the delay falls anywhere inside."""

from random import Random

from hypothesis import given
from hypothesis import strategies as st

from pulse.core.paths.backoff import CAP, FIRST, Backoff
from tests.mint import Latest


def test_the_window_doubles_up_to_a_minute_and_stays() -> None:
    backoff = Backoff(Latest())

    assert [backoff.next_delay() for _ in range(10)] == [0.5, 1, 2, 4, 8, 16, 32, 60, 60, 60]


def test_a_reset_starts_over() -> None:
    backoff = Backoff(Latest())
    for _ in range(5):
        backoff.next_delay()

    backoff.reset()

    assert backoff.next_delay() == FIRST


@given(seed=st.integers(), tries=st.integers(1, 200))
def test_no_delay_is_negative_or_longer_than_the_cap(seed: int, tries: int) -> None:
    backoff = Backoff(Random(seed))

    assert all(0.0 <= backoff.next_delay() <= CAP for _ in range(tries))


def test_two_nodes_that_lost_each_other_do_not_try_in_step() -> None:
    ours, theirs = Backoff(Random(1)), Backoff(Random(2))

    assert [ours.next_delay() for _ in range(5)] != [theirs.next_delay() for _ in range(5)]
