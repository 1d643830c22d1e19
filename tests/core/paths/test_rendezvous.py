"""Who of many deals with whom."""

from pulse.core.paths.rendezvous import BITS, is_among, rank_of
from tests.authority import node

CROWD = [node(f"node {number}") for number in range(200)]


def test_both_ends_reckon_the_same() -> None:
    assert rank_of(CROWD[0], CROWD[1]) == rank_of(CROWD[1], CROWD[0]) < 1 << BITS


def test_of_few_everybody_is_among_them() -> None:
    assert all(is_among(8, 8, CROWD[0], other) for other in CROWD)


def test_of_many_about_so_many_are_and_nobody_is_left_out() -> None:
    chosen = [sum(is_among(8, len(CROWD), one, other) for other in CROWD if other != one) for one in CROWD]

    assert min(chosen) > 0
    assert 7 < sum(chosen) / len(chosen) < 9
