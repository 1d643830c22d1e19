"""The reference finds what a mesh that errs would do: a hole nobody punches, a link that no NAT could let through."""

import pytest

from pulse.core.effects import AnswerPunch
from pulse.core.paths.traversal import Traversal
from tests.sim import verdict
from tests.sim.model import MET_WITHIN, Model
from tests.sim.nat import PORT_RESTRICTED, SYMMETRIC, Kind
from tests.sim.node import SimNode
from tests.sim.sparse import sparse
from tests.sim.underlay import Segment
from tests.sim.world import World


def talking(kind: Kind) -> tuple[World, SimNode, SimNode]:
    """Two homes behind NATs of one kind, with traffic between them."""
    world = World(1)
    ca = world.node("ca", is_ca=True)
    relay = world.node("relay", dials=[ca])
    homes = [world.node(name, Segment(name, "192.168", nat=kind), dials=[relay]) for name in ("alice", "bob")]
    for node in (ca, relay, *homes):
        node.start()
    world.run(15)
    alice, bob = homes
    alice.wants(bob)
    return world, alice, bob


def test_a_hole_that_nobody_punches_is_missed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Traversal, "punch_asked", lambda _, fact, _now: [AnswerPunch(fact.call, None)])
    with sparse(by_hash=0):
        world, alice, bob = talking(PORT_RESTRICTED)
        world.run(MET_WITHIN)
    model = Model(world)

    assert model.unmet() == [(alice, bob)]
    with pytest.raises(AssertionError, match="alice has no direct link with bob"):
        model.check_met()


def test_who_had_no_traffic_in_this_life_or_cannot_meet_is_not_missed() -> None:
    with sparse(by_hash=0):
        world, alice, bob = talking(SYMMETRIC)
        world.run(MET_WITHIN)
        assert Model(world).unmet() == []

        world, alice, bob = talking(PORT_RESTRICTED)
        alice.kill()
        alice.start()
        world.run(15)
        assert bob.id not in alice.running.standing
        assert Model(world).unmet() == []


def test_a_link_that_the_nats_do_not_allow_is_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    world, _, _ = talking(PORT_RESTRICTED)
    world.run(MET_WITHIN)
    Model(world).check()
    monkeypatch.setattr(verdict, "kinds", lambda segment: () if segment.public else (SYMMETRIC,))

    with pytest.raises(AssertionError, match=r"has a link with .*, whatever the NATs say"):
        Model(world).check()
