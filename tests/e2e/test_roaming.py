"""A laptop goes from network to network, sleeps, and its NAT forgets it: its connections notice nothing but a pause.

Invariant: one TCP connection each way lives through all that happens in this file, over one session.
"""

import os
import signal
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import pytest

from pulse.core.types import SHORT_ID
from pulse.lab import stream
from pulse.lab.host import wait_until
from pulse.lab.lab import Lab
from pulse.lab.laptop import Laptop
from pulse.lab.stream import Stream
from pulse.lab.topologies import ROAMING
from tests.e2e.mesh import PATIENCE, PORT, Mesh, Node
from tests.namespace import require_root

PACE: Final = 10.0
ASLEEP: Final = 6.0
"""Seconds after which links have long been given up, and TCP tries again soon."""


@dataclass(frozen=True, slots=True)
class Journey:
    """A laptop that talks with a public node, the hub of the mesh beside them."""

    mesh: Mesh
    moves: Laptop
    out: Stream
    back: Stream
    began_with: int

    @property
    def laptop(self) -> Node:
        return self.mesh["laptop"]

    @property
    def far(self) -> Node:
        return self.mesh["far"]

    @property
    def hub(self) -> Node:
        return self.mesh["hub"]

    def moves_on(self) -> None:
        """Wait until both connections move."""
        self.out.wait_moving()
        self.back.wait_moving()

    def goes_on(self) -> None:
        """Wait until both connections move, and both nodes say that nobody is between them."""
        self.moves_on()
        self.laptop.wait_direct(self.far)
        self.far.wait_direct(self.laptop)


@pytest.fixture(scope="module")
def journey() -> Iterator[Journey]:
    """At home, behind a NAT."""
    require_root()
    with Lab(ROAMING) as lab:
        moves = Laptop.at(lab, "laptop", "home")
        hub, far, laptop = (Node(lab[name]) for name in ("hub", "far", "laptop"))
        hub.start("--ca", "--scribe", "--network", "test")
        for node in (far, laptop):
            node.join(hub, hub.token("--max-uses", "1"))
        # One with a socket of one address only, as a cautious person sets up a server.
        far.host.pulse("start", "--tun", "--addr", f":{PORT}", "--listen", far.underlay)
        laptop.start("--log-level", "debug")
        mesh = Mesh(lab, {"hub": hub, "far": far, "laptop": laptop})
        mesh.wait_whole()
        out = stream.begin(laptop.host, far.host, far.v4, mbit=PACE)
        back = stream.begin(far.host, laptop.host, laptop.v4, mbit=PACE)
        made = Journey(mesh, moves, out, back, sessions(laptop, far))
        made.goes_on()
        yield made
        assert mesh.errors == []


def sessions(node: Node, other: Node) -> int:
    """How many sessions with the other came up so far."""
    who = other.status().node.id[:SHORT_ID]
    return sum(" session up " in line and f"node={who}" in line for line in node.log.splitlines())


def test_a_nat_that_forgets_everything_is_no_end(journey: Journey) -> None:
    for node in (journey.far, journey.hub):
        node.wait_direct(journey.laptop)
    before = journey.far.sees(journey.laptop).address

    journey.mesh.lab.rebind_nat("home")

    journey.goes_on()
    wait_until(lambda: journey.far.sees(journey.laptop).address != before, "it is seen elsewhere", PATIENCE)


def test_one_that_sleeps_goes_on_when_it_wakes(journey: Journey) -> None:
    daemon = journey.laptop.pid
    os.kill(daemon, signal.SIGSTOP)
    time.sleep(ASLEEP)
    os.kill(daemon, signal.SIGCONT)

    journey.goes_on()
    assert " woke up " in journey.laptop.log


def test_it_is_carried_to_another_network_and_takes_other_addresses_there(journey: Journey) -> None:
    journey.moves.carry_to("cafe")
    journey.goes_on()

    for _ in range(2):
        journey.moves.renumber()
        journey.goes_on()
        where = str(journey.moves.address.ip)
        wait_until(lambda where=where: where in journey.far.sees(journey.laptop).address, f"it is at {where}", PATIENCE)  # type: ignore[misc]

    journey.moves.carry_to("home")
    journey.goes_on()


def test_a_socket_whose_address_goes_away_serves_on_others(journey: Journey) -> None:
    host = journey.far.host
    device, other = host.ports[0].interface, "198.18.0.77/24"
    for old, new, listens in ((str(host.v4), other, f"*:{PORT}"), (other, str(host.v4), journey.far.underlay)):
        host.run(["ip", "address", "delete", old, "dev", device])
        host.run(["ip", "address", "add", new, "dev", device])

        wait_until(lambda: f"listening elsewhere listen={listens}" in journey.far.log, "another socket", PATIENCE)  # noqa: B023 (asked for at once)
        # Not before its hold ends is a link trusted that went down: meanwhile the hub passes on.
        journey.moves_on()


def test_all_that_was_one_connection_each_way_over_one_session(journey: Journey) -> None:
    assert journey.out.finish().hash_equal
    assert journey.back.finish().hash_equal
    assert sessions(journey.laptop, journey.far) == journey.began_with
