"""Whom a newcomer chooses while records still come."""

from pulse.core.paths.wanted import BY_HASH, CATCH_UP, SMALL
from tests.core.paths.test_wanted import Choosing


def test_a_newcomer_that_heard_of_many_takes_the_mesh_for_a_large_one_but_not_for_ever() -> None:
    choosing = Choosing()
    choosing.lacking = SMALL
    choosing.knows(*range(1, SMALL - 1))
    choosing.passed()
    assert len(choosing.nodes()) == BY_HASH

    choosing.passed(CATCH_UP)
    assert choosing.nodes() == {*range(1, SMALL - 1)}
