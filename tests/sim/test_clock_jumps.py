"""The wall clock of a running node jumps, by an hour or to another age, and is set back: it heals, and harms nobody.

Links live by the monotonic clock; certificates, and rules with times, by the wall clock. A node that believes it is a
year from now sees all certificates as ended, and alone is out until it is put right.
"""

from itertools import permutations

import pytest

from tests.authority import NOW
from tests.sim.meshes import mesh, reach
from tests.sim.node import CLOCK_READ_EVERY

HOUR, YEAR = 3600.0, 365 * 86_400.0
JUMPS = {"an hour ahead": HOUR, "an hour back": -HOUR, "a year ahead": YEAR, "a year back": -YEAR, "to 1970": -NOW}
SEEDS = range(1)

NOTICED = 2 * CLOCK_READ_EVERY
"""Seconds after which a node has read its clock for certain."""

HEALED = 120.0


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("jump", JUMPS.values(), ids=JUMPS)
@pytest.mark.parametrize("jumper", [0, -1], ids=["CA", "member"])
def test_a_clock_that_jumps_while_a_node_runs_harms_nobody_else_and_heals_once_it_is_set_back(
    jumper: int, jump: float, seed: int
) -> None:
    here = mesh(seed, relays=2, members=3)
    node = here.nodes[jumper]
    rest = [each for each in here.nodes if each is not node]

    node.skew = jump
    for _ in range(int(NOTICED)):
        here.world.run(1)
        assert reach(*rest), here.world.story()
        assert jump > HOUR or reach(*here.nodes), "certificates are as good as they were when they were signed"
    # While it is wrong, a life begins too.
    node.kill()
    here.world.run(1)
    node.start()
    here.world.run(NOTICED)
    assert reach(*rest), here.world.story()

    node.skew = 0.0
    here.world.until(lambda: reach(*here.nodes), within=HEALED)
    assert all(one.running.mesh.members.get(other.id) for one, other in permutations(here.nodes, 2))
