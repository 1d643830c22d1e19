"""Traffic over relays: who carries it, and how soon it goes another way when that one fails."""

import pytest

from tests.sim.meshes import Mesh, mesh, reach, way
from tests.sim.node import SimNode
from tests.sim.talk import Talk, silence
from tests.sim.underlay import Segment
from tests.sim.world import INTERNET

SEEDS = range(20)

KILLED = 1.0
"""Seconds until traffic of a killed relay goes another way, 95 of 100 times (security.md §5)."""

SILENT = 3.5
"""The same for a relay that answers probes and drops frames, on a grid of probes a second apart."""


@pytest.mark.parametrize("seed", SEEDS)
def test_two_homes_meet_over_the_nearer_relay(seed: int) -> None:
    here = mesh(seed, relays=2, members=2)
    one, other = here.members

    there = way(one, other)
    assert len(there) == 3
    assert there[1] in {"ca", "relay0", "relay1"}


def test_traffic_of_a_killed_relay_goes_another_way_within_a_second() -> None:
    silences = sorted(_silence_of(seed, stop=False) for seed in SEEDS)

    assert silences[-2] <= KILLED, silences


def test_a_relay_that_stops_is_left_before_it_goes() -> None:
    silences = [_silence_of(seed, stop=True) for seed in SEEDS]

    assert max(silences) <= 0.1, silences


def _silence_of(seed: int, *, stop: bool) -> float:
    """Seconds of silence between two homes when the relay between them goes."""
    here = mesh(seed, relays=3, members=2)
    one, other = here.members
    Talk(here.world, one, other).begin()
    Talk(here.world, other, one).begin()
    here.world.run(10)
    relay = here.world.nodes[way(one, other)[1]]
    relay.stop() if stop else relay.kill()
    return max(silence(here.world, one, other, 3), silence(here.world, other, one, 5))


@pytest.mark.parametrize("seed", range(5))
def test_a_relay_that_answers_probes_but_drops_frames_is_routed_around(seed: int) -> None:
    here = mesh(seed, relays=3, members=2)
    one, other = here.members
    Talk(here.world, one, other).begin()
    Talk(here.world, other, one).begin()
    here.world.run(10)
    rogue = here.world.nodes[way(one, other)[1]]
    rogue.running.deaf = True

    assert silence(here.world, one, other, 10) <= SILENT
    assert silence(here.world, other, one, 60) <= SILENT
    assert rogue.name not in way(one, other)


@pytest.mark.parametrize("seed", range(5))
def test_a_direct_way_is_taken_as_soon_as_there_is_one(seed: int) -> None:
    here = mesh(seed, relays=2, members=2)
    one, other = here.members
    Talk(here.world, one, other).begin()
    here.world.run(5)
    assert len(way(one, other)) == 3

    here.world.move(other, *one.machine.segments)
    here.world.until(lambda: reach(*here.nodes) and way(one, other) == ["n0", "n1"], within=15)


@pytest.mark.parametrize("seed", range(5))
def test_a_direct_way_that_goes_leaves_the_relay_in_its_place(seed: int) -> None:
    here = mesh(seed, relays=2, members=2, at_home=False)
    one, other = here.members
    assert way(one, other) == ["n0", "n1"]

    here.world.cut(one, other)
    assert silence(here.world, one, other, 10) <= KILLED + 0.1
    assert len(way(one, other)) == 3


@pytest.mark.parametrize("seed", range(5))
def test_two_islands_meet_over_three_hops(seed: int) -> None:
    here = mesh(seed, relays=0, members=0)
    here.world.reshape(here.ca, delay=0.05)
    settlers = [settled_island(here, "east", "172.16"), settled_island(here, "west", "172.17")]

    nearest = ["east settler", "east bridge", "west bridge", "west settler"]
    here.world.until(lambda: reach(here.ca, *settlers) and way(*settlers) == nearest, within=60)


def settled_island(here: Mesh, name: str, prefix: str) -> SimNode:
    """A network without a way out but for one machine, and a node on it that dials that machine."""
    island = Segment(name, prefix, outlet=False)
    bridge = here.world.node(f"{name} bridge", INTERNET, island, dials=[here.ca])
    settler = here.world.node(f"{name} settler", island)
    settler.configured = (bridge.machine.addresses[1],)
    bridge.start()
    settler.start()
    return settler
