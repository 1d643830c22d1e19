"""Three members on one LAN, their CA in public behind a router: the uplink is cut, and the mesh on the LAN lives on.

Invariant: the tests run in this order; from the first one on the uplink stays cut.
"""

import os
import secrets
import signal
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import combinations, permutations
from typing import Final

import pytest

from pulse.lab import namespaces
from pulse.lab.host import wait_until
from pulse.lab.lab import Lab
from pulse.lab.plan import HostPlan, NetworkPlan, Plan
from tests.e2e.mesh import PATIENCE, PORT, Mesh, Node, errors_of, is_alive
from tests.namespace import require_root

MEMBERS: Final = ("x", "y", "z")

HOME: Final = Plan(
    hosts={"ca": HostPlan(), "router": HostPlan(router=True), **{name: HostPlan() for name in (*MEMBERS, "stranger")}},
    networks=(NetworkPlan(("ca", "router")), NetworkPlan(("router", *MEMBERS, "stranger"))),
)
"""A switch with the router's inner side, three members, and a machine of another network."""


@pytest.fixture(scope="module")
def home() -> Iterator[Mesh]:
    """The CA and the members, all linked, and on the stranger's machine a network of its own, of the same name."""
    require_root()
    with Lab(HOME) as lab:
        made = Mesh(lab, {name: Node(lab[name]) for name in ("ca", *MEMBERS)})
        ca, stranger, token = made["ca"], stranger_of(made), secrets.token_hex(32)
        at_once(lambda node: node.start("--ca", "--scribe", "--network", "test", "--token", token), ca, stranger)
        members = [made[name] for name in MEMBERS]
        at_once(lambda node: node.start("--token", token, node.way_to(ca)), *members)
        made.wait_whole()
        yield made
        assert made.errors == errors_of([stranger]) == []


def stranger_of(home: Mesh) -> Node:
    return Node(home.lab["stranger"])


def at_once(act: Callable[[Node], None], *nodes: Node) -> None:
    """Do the same with several nodes."""
    with ThreadPoolExecutor() as pool:
        for done in [pool.submit(act, node) for node in nodes]:
            done.result()


def wait_together(*nodes: Node) -> None:
    """Wait until each has links with all others, and packets pass over them."""
    for node, other in permutations(nodes, 2):
        node.wait_direct(other)
    for node, other in combinations(nodes, 2):
        assert node.pings(other.v4).code == 0


def shut_down(node: Node) -> None:
    """Stop it as the system does when the machine goes down."""
    daemon = node.pid
    os.kill(daemon, signal.SIGTERM)
    wait_until(lambda: not is_alive(daemon), f"the daemon of {node.host.name} has stopped", PATIENCE)


def start_again(node: Node, *flags: str) -> None:
    """Start it with whatever addresses its machine has by now."""
    node.host.pulse("start", "--tun", "--addr", f":{PORT}", *flags)


def renumber(node: Node, place: int) -> None:
    """Its machine comes back with other addresses, the link-local one among them, as from another router."""
    port = node.host.ports[0]
    namespaces.batch(
        node.host.namespace,
        [
            f"link set {port.interface} down",
            f"address flush dev {port.interface}",
            f"link set {port.interface} address 02:19:00:00:00:{place:02x} up",
            f"address add 192.168.7.{place}/24 dev {port.interface}",
        ],
    )


def test_with_the_uplink_cut_members_go_on_without_losing_a_packet(home: Mesh) -> None:
    x, y, z = (home[name] for name in MEMBERS)
    goes_on = x.host.popen(["ping", "-c", "12", "-i", "0.1", "-W", "5", y.v4])

    home.lab.cut("ca", "router")

    assert goes_on.wait() == 0
    assert " 0% packet loss" in goes_on.text()
    wait_until(lambda: not x.has_path(home["ca"]), "x has no path to the CA", PATIENCE)
    wait_together(x, y, z)


def test_members_that_restart_with_other_addresses_find_each_other_by_beacons_alone(home: Mesh) -> None:
    x, y, z = (home[name] for name in MEMBERS)
    at_once(shut_down, x, y, z)
    for place, node in enumerate((x, y, z), 10):
        renumber(node, place)

    start_again(x, "--no-beacon")
    at_once(start_again, y, z)
    wait_together(y, z)

    assert not any(x.has_path(other) or other.has_path(x) for other in (y, z)), "x says no beacons and hears none"
    shut_down(x)
    start_again(x)
    wait_together(x, y, z)
    assert x.tries("ping", "z", "-c", "1").code == 0
    wait_until(lambda: y.sees(x).lan and z.sees(x).lan, "it is shown that x was heard on the LAN", PATIENCE)
    assert not x.has_path(home["ca"])


def test_another_network_on_the_lan_is_left_alone(home: Mesh) -> None:
    stranger = stranger_of(home)

    said = stranger.status()
    assert (said.well, said.peers) == (True, [])
    assert "link" not in stranger.log
    assert (said.beacons["foreign"] > 0, said.beacons["heard"]) == (True, 0)
    for name in MEMBERS:
        assert {row.name for row in home[name].status().peers} == {"ca", *MEMBERS} - {name}
        assert home[name].status().beacons["forged"] == 0
