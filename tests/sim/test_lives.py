"""Restarts, lost state, clones: a node comes back as itself, and two that claim to be one are found out."""

import pytest

from tests.authority import NOW
from tests.sim.meshes import mesh, reach

SEEDS = range(5)

CLONE_OR_LOSS = "clone or lost state"


@pytest.mark.parametrize("seed", SEEDS)
def test_a_member_restarts_and_is_back_by_itself_while_ca_and_scribe_are_down(seed: int) -> None:
    here = mesh(seed, relays=2, members=3)
    here.scribe(here.relays[0])
    here.world.run(15)
    here.ca.kill()
    here.relays[0].kill()
    member = here.members[0]
    member.kill()
    here.world.run(10)
    member.start()

    here.world.until(lambda: reach(here.relays[1], *here.members), within=15)


@pytest.mark.parametrize("seed", SEEDS)
def test_all_of_a_mesh_restarts_at_once_and_is_whole_again(seed: int) -> None:
    here = mesh(seed, relays=2, members=12)
    for node in here.nodes:
        node.kill()
    here.world.run(1)
    for node in here.nodes:
        node.start()

    here.world.until(lambda: reach(*here.nodes), within=15)


@pytest.mark.parametrize("seed", SEEDS)
def test_a_node_with_an_old_disk_raises_its_boot_count_and_is_believed_again(seed: int) -> None:
    here = mesh(seed, relays=2, members=3)
    member = here.members[0]
    backup = member.disk.copy()
    for _ in range(3):
        member.kill()
        member.start()
        here.world.run(15)
    newest = member.disk.boot
    member.kill()
    member.restore(backup)
    member.start()

    here.world.until(lambda: reach(*here.nodes), within=15)
    assert member.disk.boot > newest
    assert here.world.warned(CLONE_OR_LOSS) == [member.name]


@pytest.mark.parametrize("seed", SEEDS)
def test_a_restart_alone_raises_no_alarm(seed: int) -> None:
    here = mesh(seed, relays=2, members=3)
    for node in here.nodes:
        node.kill()
        node.start()
        here.world.run(10)

    assert here.world.warned(CLONE_OR_LOSS) == []


@pytest.mark.parametrize("seed", SEEDS)
def test_one_key_on_two_machines_raises_the_alarm(seed: int) -> None:
    here = mesh(seed, relays=2, members=3)
    clone = here.world.clone(here.members[0], "clone")
    clone.start()
    here.world.run(60)

    assert any("clone" in log.event for _, _, log in here.world.warnings)


@pytest.mark.parametrize("seed", SEEDS)
def test_a_node_that_lost_everything_it_was_told_is_told_again(seed: int) -> None:
    here = mesh(seed, relays=2, members=3)
    here.scribe(here.relays[0])
    here.world.run(15)
    member = here.members[0]
    member.kill()
    member.disk.config = member.disk.roles = b""
    member.disk.revocations.clear()
    member.start()
    assert not member.running.mesh.statements.in_force

    here.world.until(lambda: reach(*here.nodes), within=15)
    config = member.running.mesh.statements.config
    assert config is not None
    assert config.number == (1, 1)


@pytest.mark.parametrize("seed", SEEDS)
def test_a_node_that_wakes_in_1970_is_back_by_itself(seed: int) -> None:
    here = mesh(seed, relays=2, members=3)
    here.scribe(here.relays[0])
    here.world.run(15)
    member = here.members[0]
    member.kill()
    member.configured = ()
    member.skew = -NOW
    member.start()

    here.world.until(lambda: reach(*here.nodes), within=15)
