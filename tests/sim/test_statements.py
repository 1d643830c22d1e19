"""The word of CA and scribe reaches everybody, at once or when they are back, and is never lost."""

import pytest

from pulse.core.messages import ObjectKind
from tests.sim import identities
from tests.sim.meshes import Mesh, mesh, reach
from tests.sim.node import SimNode
from tests.sim.signing import edited_config, roles_of

SEEDS = range(5)

REVOKED = 2.0
"""Seconds until nobody talks to a revoked node any more (security.md §5)."""

CONFIGURED = 1.0
"""Seconds until 50 nodes hold a new config, 99 of 100 times."""


def revoke(here: Mesh, node: SimNode) -> None:
    here.ca.states(ObjectKind.REVOCATION, identities.revocation(node.number))


def holds(node: SimNode, number: tuple[int, int]) -> bool:
    config = node.running.mesh.statements.config
    return config is not None and config.number == number


@pytest.mark.parametrize("seed", SEEDS)
def test_a_revoked_node_is_cut_off_everywhere_at_once(seed: int) -> None:
    here = mesh(seed, relays=2, members=4)
    rogue, *others = here.members
    revoke(here, rogue)
    here.world.run(REVOKED)

    everybody = [here.ca, *here.relays, *others]
    assert all(rogue.id in node.running.mesh.statements.revoked() for node in everybody)
    assert rogue.running.ends == {}
    assert not any(reach(rogue, node) for node in everybody)


@pytest.mark.parametrize("seed", SEEDS)
def test_a_revoked_node_stays_out_over_restarts_of_everybody(seed: int) -> None:
    here = mesh(seed, relays=2, members=4)
    rogue, *others = here.members
    revoke(here, rogue)
    here.world.run(5)
    for node in here.nodes:
        node.kill()
        node.start()
    here.world.until(lambda: reach(here.ca, *here.relays, *others), within=15)
    here.world.run(60)

    assert rogue.running.ends == {}


@pytest.mark.parametrize("seed", SEEDS)
def test_a_node_that_was_away_gets_what_it_missed(seed: int) -> None:
    here = mesh(seed, relays=2, members=4)
    rogue, sleeper, *_ = here.members
    here.scribe(here.relays[0])
    here.world.run(10)
    sleeper.kill()
    here.world.run(5)
    revoke(here, rogue)
    here.relays[0].states(ObjectKind.CONFIG, edited_config(here.relays[0]))
    here.world.run(5)
    here.ca.kill()
    sleeper.start()

    here.world.until(lambda: holds(sleeper, (1, 2)), within=15)
    assert sleeper.running.mesh.statements.revoked() == {rogue.id}


@pytest.mark.parametrize("seed", SEEDS)
def test_what_is_revoked_on_one_side_of_a_partition_is_out_on_the_other_once_it_heals(seed: int) -> None:
    here = mesh(seed, relays=2, members=6)
    rogue = here.members[-1]
    far = here.members[3:]
    here.world.part(far)
    revoke(here, rogue)
    here.world.run(20)
    assert all(rogue.id not in node.running.mesh.statements.revoked() for node in far)

    here.world.heal()
    here.world.until(
        lambda: all(rogue.id in node.running.mesh.statements.revoked() for node in here.nodes if node is not rogue),
        within=65,
    )
    here.world.run(REVOKED)
    assert rogue.running.ends == {}


@pytest.mark.parametrize("seed", range(1))
def test_fifty_nodes_hold_a_new_config_within_a_second(seed: int) -> None:
    here = mesh(seed, relays=5, members=44, at_home=False)
    here.scribe(here.members[0])
    here.world.until(lambda: all(holds(node, (1, 1)) for node in here.nodes), within=CONFIGURED)

    for generation in range(2, 6):
        here.members[0].states(ObjectKind.CONFIG, edited_config(here.members[0]))
        here.world.until(lambda: all(holds(node, (1, generation)) for node in here.nodes), within=CONFIGURED)  # noqa: B023


@pytest.mark.parametrize("seed", SEEDS)
def test_a_new_scribe_goes_on_where_the_old_one_left(seed: int) -> None:
    here = mesh(seed, relays=2, members=4)
    here.scribe(here.relays[0])
    here.world.run(10)
    here.relays[0].kill()
    here.ca.states(ObjectKind.ROLES, roles_of(2, here.members[0], scribe_epoch=2))
    here.world.run(5)
    here.members[0].states(ObjectKind.CONFIG, edited_config(here.members[0]))
    here.world.run(5)

    awake = [here.ca, here.relays[1], *here.members]
    assert all(holds(node, (2, 1)) for node in awake)
    here.relays[0].start()
    here.world.until(lambda: holds(here.relays[0], (2, 1)), within=15)
