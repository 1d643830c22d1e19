"""Machines that move are heard again at once, and links that come and go move nobody back and forth with them."""

import pytest

from tests.sim.meshes import Mesh, mesh, way
from tests.sim.node import SimNode
from tests.sim.talk import Talk, silence
from tests.sim.underlay import Segment
from tests.sim.world import INTERNET

SEEDS = range(3)

MOVED = 0.5
"""Seconds of silence while a machine gets other addresses: one dial, across the world and back a few times."""

FLAPS = 60
CALM = 12
"""Changes of path that so many flaps may cause: each time one failed it is held for twice as long."""

LOOK = 0.1


def talking(seed: int) -> tuple[Mesh, SimNode, SimNode]:
    """Two nodes that reach each other, and either of two relays, and talk."""
    here = mesh(seed, relays=2, members=2, at_home=False)
    one, other = here.members
    Talk(here.world, one, other).begin()
    Talk(here.world, other, one).begin()
    here.world.run(10)
    return here, one, other


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("direction", ["out", "in"])
def test_a_machine_with_other_addresses_is_heard_again_at_once(seed: int, direction: str) -> None:
    here, one, other = talking(seed)
    for _ in range(3):
        here.world.move(one)
        heard = (one, other) if direction == "out" else (other, one)
        assert silence(here.world, *heard, 20) <= MOVED
        assert way(one, other) == ["n0", "n1"]


@pytest.mark.parametrize("seed", SEEDS)
def test_one_that_is_carried_home_and_out_again_goes_on_over_relays_or_without(seed: int) -> None:
    here, one, other = talking(seed)
    for segments, hops in (((Segment("home", "10.77"),), {2, 3}), ((INTERNET,), {2})):
        here.world.move(one, *segments)
        assert silence(here.world, one, other, 30) <= MOVED
        assert len(way(one, other)) in hops


@pytest.mark.parametrize("seed", SEEDS)
def test_a_link_that_flaps_does_not_take_traffic_back_and_forth_with_it(seed: int) -> None:
    here, one, other = talking(seed)
    changes, before = 0, way(one, other)
    for flap in range(2 * FLAPS):
        here.world.heal() if flap % 2 else here.world.cut(one, other)
        for _ in range(round(1.5 / LOOK)):
            here.world.run(LOOK)
            now = way(one, other)
            changes, before = changes + (now != before), now

    assert changes <= CALM, changes


@pytest.mark.parametrize("seed", SEEDS)
def test_a_link_that_carries_one_way_alone_is_left_once_and_for_all(seed: int) -> None:
    here, one, other = talking(seed)
    here.world.cut(one, other)
    here.world.run(5)
    ways = {(*way(one, other), *way(other, one))}
    for _ in range(600):
        here.world.run(LOOK)
        ways.add((*way(one, other), *way(other, one)))

    assert len(ways) <= 2, ways
    assert ["n0", "n1"] not in (way(one, other), way(other, one)[::-1])
