"""Ten minutes in the life of many meshes: whatever happens, who can reach each other does, and nothing breaks.

One seed again, with its diagram: `python -m tests.sim.runs 17`.
"""

import pytest

from tests.sim import seeds
from tests.sim.backstage import Results

pytestmark = pytest.mark.timeout(900)
"""Scenarios give way to all else that runs, so one may take long."""


@pytest.mark.parametrize("seed", seeds.chosen())
def test_whoever_can_reach_each_other_does_after_every_storm(scenarios: Results, seed: int) -> None:
    told = scenarios.of(seed)

    assert told is None, told
