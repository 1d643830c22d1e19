"""The world itself: links come up and go as the data plane's do, so that what is found here is found in the mesh."""

import pytest

from pulse.core import messages
from pulse.core.effects import ERROR, Log
from pulse.core.facts import DialFailed, Fact, LinkDown, LinkMoved, LinkSuspect, LinkUp, MessageReceived
from tests.sim.nat import PORT_RESTRICTED
from tests.sim.node import SimNode
from tests.sim.underlay import Segment
from tests.sim.world import World

HOME, OTHER_HOME = Segment("home", "192.168"), Segment("other home", "192.168")


def told(world: World, node: SimNode, *kinds: type[Fact]) -> list[Fact]:
    """Facts of these kinds a node was told, in order."""
    return [each.what for each in world.flow.entries if each.node == node.name and isinstance(each.what, kinds)]


@pytest.fixture
def world() -> World:
    return World(1)


@pytest.fixture
def pair(world: World) -> tuple[SimNode, SimNode]:
    """The CA and a member, linked."""
    ca = world.node("ca", is_ca=True)
    alice = world.node("alice", dials=[ca])
    ca.start()
    alice.start()
    world.run(5)
    return ca, alice


def test_a_dial_makes_one_link_with_one_end_at_each_side(world: World, pair: tuple[SimNode, SimNode]) -> None:
    ca, alice = pair

    (ours,), (theirs,) = told(world, ca, LinkUp), told(world, alice, LinkUp)
    assert isinstance(ours, LinkUp)
    assert isinstance(theirs, LinkUp)
    assert (ours.dial, ours.node, ours.observed) == (0, alice.id, alice.machine.addresses[0])
    assert (theirs.dial, theirs.node, theirs.observed) == (1, ca.id, ca.machine.addresses[0])
    assert ours.hello.boot == alice.running.boot


def test_of_two_dials_that_cross_the_lower_ids_stays_at_both_ends(world: World) -> None:
    one, other = world.node("one", is_ca=True), world.node("other")
    one.configured, other.configured = other.machine.addresses, one.machine.addresses
    one.start()
    other.start()
    world.run(5)

    lower, higher = sorted((one, other), key=lambda node: node.id)
    assert [end.dialled for end in lower.running.ends.values()] == [True]
    assert [end.dialled for end in higher.running.ends.values()] == [False]


def test_a_killed_daemon_is_suspect_first_and_then_down(world: World, pair: tuple[SimNode, SimNode]) -> None:
    ca, alice = pair
    alice.kill()
    world.run(1.1)
    assert [type(each) for each in told(world, ca, LinkSuspect, LinkDown)] == [LinkSuspect]

    world.run(3.0)
    assert [type(each) for each in told(world, ca, LinkSuspect, LinkDown)] == [LinkSuspect, LinkDown]
    assert ca.running.ends == {}


def test_a_daemon_that_stops_says_so_and_is_down_at_once(world: World, pair: tuple[SimNode, SimNode]) -> None:
    ca, alice = pair
    alice.stop()
    world.run(0.1)

    *_, goodbye = told(world, ca, MessageReceived)
    assert isinstance(goodbye, MessageReceived)
    assert messages.decode(goodbye.payload) == messages.Leaving("stopped")
    assert [type(each) for each in told(world, ca, LinkSuspect, LinkDown)] == [LinkDown]


def test_a_daemon_that_is_back_before_it_was_missed_replaces_its_link(
    world: World, pair: tuple[SimNode, SimNode]
) -> None:
    ca, alice = pair
    alice.kill()
    alice.start()
    world.run(1.0)

    first, second, down = told(world, ca, LinkUp, LinkDown)
    assert isinstance(first, LinkUp)
    assert isinstance(second, LinkUp)
    assert first.hello.boot != second.hello.boot
    assert down == LinkDown(first.link, alice.id, f"replaced by link {second.link}")
    assert [*ca.running.ends] == [second.link]


def test_what_is_said_over_a_cut_arrives_in_order_once_it_heals(world: World, pair: tuple[SimNode, SimNode]) -> None:
    ca, alice = pair
    (end,) = alice.running.ends.values()
    world.part([alice])
    said = [messages.encode(messages.Observed("192.0.2.1", port)) for port in range(1, 6)]
    for payload in said[:4]:
        end.link.send(end, payload)
        world.run(0.1)
    world.heal()
    end.link.send(end, said[4])
    world.run(1.0)

    heard = [each.payload for each in told(world, ca, MessageReceived) if isinstance(each, MessageReceived)]
    assert heard[-5:] == said
    assert told(world, ca, LinkDown) == []


def test_a_cut_of_one_way_ends_the_link_at_both_ends(world: World, pair: tuple[SimNode, SimNode]) -> None:
    ca, alice = pair
    world.cut(ca, alice)
    world.run(5)

    assert len(told(world, ca, LinkDown)) == len(told(world, alice, LinkDown)) == 1


def test_a_dial_fails_as_the_data_plane_lets_it_fail(world: World) -> None:
    ca = world.node("ca", is_ca=True)
    neighbour = world.node("neighbour", OTHER_HOME, dials=[ca], place=1)
    alone = world.node("alone", HOME, place=7)
    bob = world.node("bob", OTHER_HOME, place=2)
    bob.configured = (*alone.machine.addresses, *bob.machine.addresses)
    for node in (ca, neighbour, alone, bob):
        node.start()
    world.run(4)

    failures = [(each.dial, each.code) for each in told(world, bob, DialFailed) if isinstance(each, DialFailed)]
    assert (1, "timeout") in failures
    assert {code for dial, code in failures if dial != 1} == {"self"}


def test_a_dial_that_goes_unanswered_at_first_is_answered_once_the_way_is_open(world: World) -> None:
    ca, alice = world.node("ca", is_ca=True), world.node("alice")
    alice.configured = ca.machine.addresses
    ca.start()
    world.cut(ca, alice)
    alice.start()
    world.run(0.5)
    world.heal()
    world.run(0.5)

    (up,) = told(world, alice, LinkUp)
    assert isinstance(up, LinkUp)
    assert up.dial == 1


def test_two_behind_nats_that_dial_where_the_other_is_seen_open_them_for_each_other(world: World) -> None:
    ca = world.node("ca", is_ca=True)
    homes = [Segment(name, "192.168", nat=PORT_RESTRICTED) for name in ("one", "other")]
    one, other = (world.node(home.name, home, dials=[ca]) for home in homes)
    for node in (ca, one, other):
        node.start()
    world.run(10)

    assert one.id in other.running.standing
    assert one.running.standing[other.id].towards.startswith("203.0.113.")


def test_who_comes_from_another_port_is_followed_there_by_whom_it_dialled(
    world: World, pair: tuple[SimNode, SimNode]
) -> None:
    ca, _ = pair
    home = Segment("home", "192.168", nat=PORT_RESTRICTED)
    bob = world.node("bob", home, dials=[ca])
    bob.start()
    world.run(5)
    before = bob.running.standing[ca.id].far.towards
    world.reboot(home)
    world.run(1)

    (moved,) = told(world, ca, LinkMoved)
    assert isinstance(moved, LinkMoved)
    assert moved.observed not in ("", before)
    assert moved.observed in bob.running.mesh.sight.candidates()
    assert told(world, bob, LinkMoved) == []
    assert ca.id not in {each.node for each in told(world, bob, LinkSuspect) if isinstance(each, LinkSuspect)}


def test_who_dialled_does_not_follow_whom_it_dialled(world: World, pair: tuple[SimNode, SimNode]) -> None:
    ca, alice = pair
    world.move(ca)
    world.run(5)

    assert told(world, alice, LinkMoved) == []
    assert len(told(world, alice, LinkDown)) == 1


def test_where_another_node_lives_the_expected_one_is_not_found(world: World) -> None:
    stranger, alice, bob = (
        world.node(name, home, place=place)
        for name, home, place in (("stranger", HOME, 1), ("alice", OTHER_HOME, 1), ("bob", HOME, 2))
    )
    for node in (stranger, alice, bob):
        node.start()
    bob.running.perform(
        bob.running.mesh.peer_restored(alice.running.mesh.me, alice.machine.addresses, bob.running.time)
    )
    world.run(1)

    assert told(world, bob, LinkUp) == []
    assert {each.code for each in told(world, bob, DialFailed) if isinstance(each, DialFailed)} == {"certificate"}


def test_what_the_disk_holds_is_there_after_a_restart_and_an_old_copy_is_older(
    world: World, pair: tuple[SimNode, SimNode]
) -> None:
    _, alice = pair
    world.run(3)
    backup = alice.disk.copy()
    alice.kill()
    alice.start()
    assert alice.disk.boot == 2
    assert alice.running.mesh.statements.in_force

    alice.kill()
    alice.restore(backup)
    alice.start()
    assert alice.disk.boot == 2


def test_an_error_in_a_log_fails_the_world_and_shows_seed_and_flow(
    world: World, pair: tuple[SimNode, SimNode], monkeypatch: pytest.MonkeyPatch
) -> None:
    _, alice = pair
    monkeypatch.setattr(alice.running.mesh, "happened", lambda *_: [Log("all is lost", ERROR)])

    with pytest.raises(AssertionError, match=r"alice says at .*: all is lost") as caught:
        world.run(60)
    (note,) = caught.value.__notes__
    assert "seed 1," in note
    assert "├ Observed" in note
    assert "alice starts (boot 1)" in note


def test_a_mesh_that_wants_to_be_woken_for_ever_is_found_out(
    world: World, pair: tuple[SimNode, SimNode], monkeypatch: pytest.MonkeyPatch
) -> None:
    _, alice = pair
    monkeypatch.setattr(alice.running.mesh, "deadline", lambda: 0.0)

    with pytest.raises(AssertionError, match="alice wants to be woken again and again"):
        world.run(60)
