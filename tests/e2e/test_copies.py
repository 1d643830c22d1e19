"""A node's state comes back from an old copy, or runs on two hosts: it raises the alarm, and the mesh stays well."""

import shutil
from collections.abc import Iterator
from functools import partial
from typing import Final

import pytest

from pulse.lab.host import wait_until
from pulse.lab.lab import Lab
from pulse.lab.topologies import joined
from tests.e2e.mesh import PATIENCE, Mesh, Node, errors_of
from tests.namespace import require_root

ALARM: Final = "clone or lost state"

WITH_ROOM: Final = joined(("relay", "left"), ("relay", "right"), ("relay", "twin"))


@pytest.fixture(scope="module")
def mesh() -> Iterator[Mesh]:
    """A CA that is a relay, and two members behind it; one host more is in no network."""
    require_root()
    with Lab(WITH_ROOM) as lab:
        relay, *members = (Node(lab[name]) for name in ("relay", "left", "right"))
        relay.start("--ca", "--scribe", "--network", "test")
        for node in members:
            node.join(relay, relay.token("--max-uses", "1"))
            node.start()
        made = Mesh(lab, {node.host.name: node for node in (relay, *members)})
        made.wait_whole()
        yield made
        assert made.errors == []


def wait_well(mesh: Mesh) -> None:
    """Wait until everybody reaches everybody, and says that all is well."""
    mesh.wait_whole()
    mesh["left"].wait_reaches(mesh["right"])
    mesh["right"].wait_reaches(mesh["left"])
    for name, node in mesh.nodes.items():
        wait_until(lambda node=node: node.status().well, f"all is well at {name}", PATIENCE)  # type: ignore[misc]


def is_told(mesh: Mesh, known: int) -> bool:
    """True once a run of left after that boot count is known to right."""
    return mesh["right"].sees(mesh["left"]).boot > known


def test_a_node_that_starts_from_an_old_copy_says_so_and_is_reached_again(mesh: Mesh) -> None:
    left = mesh["left"]
    left.stop()
    old = left.host.directory / "old"
    shutil.copytree(left.host.data, old)
    for _ in range(2):
        known = mesh["right"].sees(left).boot
        left.start()
        wait_until(partial(is_told, mesh, known), "its new run is told", PATIENCE)
        left.kill()
    assert ALARM not in left.log

    shutil.rmtree(left.host.data)
    shutil.move(old, left.host.data)
    left.start()

    wait_until(lambda: ALARM in left.log, "it raises the alarm", PATIENCE)
    wait_well(mesh)


def test_one_key_on_two_hosts_raises_the_alarm_and_harms_nobody_else(mesh: Mesh) -> None:
    relay, left, right, twin = mesh["relay"], mesh["left"], mesh["right"], Node(mesh.lab["twin"])
    shutil.copytree(left.host.data, twin.host.data, ignore=shutil.ignore_patterns("*.sock", "lock", "pulse.log"))
    alarms = left.log.count(ALARM)

    twin.start()
    wait_until(lambda: left.log.count(ALARM) > alarms and ALARM in twin.log, "both raise the alarm", PATIENCE)
    assert right.reaches(relay)
    assert relay.reaches(right)
    assert (relay.status().well, right.status().well) == (True, True)

    twin.stop()
    wait_well(mesh)
    assert errors_of([twin]) == []
