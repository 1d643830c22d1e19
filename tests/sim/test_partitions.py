"""A mesh falls apart and comes together again: each part goes on by itself, and nobody is left out for long."""

import pytest

from tests.sim.meshes import mesh, reach
from tests.sim.model import Model

SEEDS = range(5)

HEALED = 5.0
"""Seconds after which a mesh of 50 is whole again (security.md §5)."""


@pytest.mark.parametrize("seed", SEEDS)
def test_both_sides_of_a_partition_go_on_by_themselves_and_find_each_other_again(seed: int) -> None:
    here = mesh(seed, relays=2, members=6)
    one, other = here.nodes[:4], here.nodes[4:]
    here.world.part(other)
    here.world.run(20)
    Model(here.world).check()

    here.world.heal()
    here.world.until(lambda: reach(*one, *other), within=65)


@pytest.mark.parametrize("seed", range(1))
def test_fifty_nodes_are_whole_soon_after_a_minute_apart(seed: int) -> None:
    here = mesh(seed, relays=5, members=44, at_home=False)
    here.world.part(here.nodes[::2])
    here.world.run(60)
    here.world.heal()

    here.world.until(lambda: reach(*here.nodes), within=HEALED)


@pytest.mark.parametrize("seed", SEEDS)
def test_a_way_that_is_cut_in_one_direction_is_routed_around(seed: int) -> None:
    here = mesh(seed, relays=2, members=2, at_home=False)
    one, other = here.members
    here.world.cut(one, other)
    here.world.run(5)

    assert reach(*here.nodes)


@pytest.mark.parametrize("seed", SEEDS)
def test_a_network_that_flaps_each_second_is_there_again_when_it_stops(seed: int) -> None:
    here = mesh(seed, relays=2, members=4)
    for _ in range(30):
        here.world.part(here.members[:2])
        here.world.run(0.5)
        here.world.heal()
        here.world.run(0.5)

    here.world.run(15)
    Model(here.world).check()


@pytest.mark.parametrize("seed", SEEDS)
def test_bad_links_that_come_and_go_leave_nobody_out_once_they_are_good(seed: int) -> None:
    here = mesh(seed, relays=2, members=6)
    for node in here.members:
        here.world.reshape(node, loss=0.25)
    here.world.run(120)
    for node in here.members:
        here.world.reshape(node, loss=0.0)
    here.world.run(65)

    Model(here.world).check()
