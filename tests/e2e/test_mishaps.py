"""What goes wrong on one machine: pulse names the thing, ends with the code for it, and changes nothing."""

import os
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from pulse.errors import Conflict, Damaged, PulseError, Refused, SystemRefused
from pulse.lab.host import Output, wait_until
from pulse.lab.lab import Lab
from tests.e2e.exchange import open_socket
from tests.e2e.mesh import PATIENCE, PORT, Node, Pair
from tests.namespace import ip_json

MESH = "10.100.0.0/16"
INSIDE = "10.100.7.0/24"
WIDER = "10.0.0.0/8"
WITHOUT_NET_ADMIN = ["setpriv", "--bounding-set", "-net_admin", "--inh-caps", "-net_admin"]
NOBODY = 65_534


@pytest.fixture
def founder(lab: Lab) -> Node:
    """The first node of a network, stopped."""
    made = Node(lab["a"])
    made.start("--ca")
    made.stop()
    return made


def says(tried: Output, error: type[PulseError], *words: str) -> bool:
    """True if a command ended as that error does and named those things, without a traceback."""
    said = all(word in tried.stderr for word in words)
    return tried.code == error.exit_code and said and "Traceback" not in tried.stderr


def contents(node: Node) -> dict[Path, bytes]:
    """All it keeps, but the log, the lock, and how often it was started."""
    kept = [path for path in node.host.data.rglob("*") if path.is_file()]
    return {path: path.read_bytes() for path in kept if path.name not in {"pulse.log", "lock", "boot"}}


def route(node: Node, destination: str) -> None:
    """Give its host a route that was there before pulse."""
    node.host.run(["ip", "route", "add", destination, "dev", node.host.ports[0].interface])


def has_tun(node: Node) -> bool:
    """True while there is a pulse0 on its host."""
    return any(link["ifname"] == "pulse0" for link in ip_json(node.host.namespace, "link"))


def test_a_second_daemon_on_one_data_directory_is_told_of_the_first(fresh_pair: Pair) -> None:
    first = fresh_pair.member.pid

    tried = fresh_pair.member.tries("start", "--listen", f":{PORT + 1}")

    assert says(tried, Conflict, f"process {first}", str(fresh_pair.member.host.data)), tried
    assert fresh_pair.member.pid == first
    assert fresh_pair.member.reaches(fresh_pair.ca)


def test_a_port_in_use_is_named_and_no_network_made(lab: Lab) -> None:
    node = Node(lab["a"])

    with open_socket(node.host, str(node.host.v4.ip), socket.SOCK_DGRAM, PORT):
        tried = node.tries("start", "--ca", "--listen", f":{PORT}")

    assert says(tried, Conflict, f"UDP port {PORT} is in use"), tried
    assert contents(node) == {}


def test_a_tun_without_the_capability_names_it(founder: Node) -> None:
    before = contents(founder)

    tried = founder.host.run([*WITHOUT_NET_ADMIN, *founder.host.pulse_command("start", "--tun")], check=False)

    assert says(tried, SystemRefused, "CAP_NET_ADMIN"), tried
    assert contents(founder) == before
    assert not has_tun(founder)


def test_a_node_without_a_tun_needs_no_capability(founder: Node) -> None:
    founder.host.run([*WITHOUT_NET_ADMIN, *founder.host.pulse_command("start")])

    assert founder.status().well


def test_the_data_directory_of_another_user_is_not_used(founder: Node) -> None:
    before = contents(founder)
    os.chown(founder.host.data, NOBODY, NOBODY)

    assert says(founder.tries("start"), Refused, str(founder.host.data), f"uid {NOBODY}")
    assert contents(founder) == before


def middle(data: bytes) -> int:
    """A place in what the file says."""
    return len(data) // 2


def header(data: bytes) -> int:
    """A place in what the file says it is."""
    return 10


KEPT: dict[str, Callable[[bytes], int]] = {
    "identity/key.pem": middle,
    "identity/certificate.pem": middle,
    "identity/authorities.pem": middle,
    "identity/network": middle,
    "ca/key": middle,
    "ca/certificate": middle,
    "ca/range": middle,
    "ca/journal.head": middle,
    "ca/ledger.sqlite": header,
}


@pytest.mark.parametrize(("name", "place"), KEPT.items(), ids=KEPT.keys())
def test_a_damaged_file_is_named_and_left_as_it_is(founder: Node, name: str, place: Callable[[bytes], int]) -> None:
    path = founder.host.data / name
    flip(path, place(path.read_bytes()))
    before = contents(founder)

    tried = founder.tries("start")

    assert says(tried, Damaged, str(path)), tried
    assert contents(founder) == before


def flip(path: Path, place: int) -> None:
    """Change one bit of a file."""
    data = bytearray(path.read_bytes())
    data[place] ^= 1
    path.write_bytes(data)


def test_a_host_route_inside_the_mesh_range_is_named(fresh_pair: Pair) -> None:
    member = fresh_pair.member
    member.stop()
    route(member, INSIDE)

    tried = member.tries("start", "--tun", "--listen", f":{PORT}")

    assert says(tried, Conflict, f"the mesh range {MESH} is in use here", INSIDE), tried
    assert not has_tun(member)


def test_a_host_route_inside_a_range_heard_of_later_is_named_in_the_status(lab: Lab) -> None:
    ca, member = Node(lab["a"]), Node(lab["b"])
    ca.start("--ca")
    member.join(ca, ca.token())
    route(member, INSIDE)
    member.start()
    member.wait_linked(ca)

    wait_until(lambda: INSIDE in member.status().sentence, "the status names the route", PATIENCE)
    assert not member.status().well


def test_a_wider_route_only_warns(fresh_pair: Pair) -> None:
    member = fresh_pair.member
    member.stop()
    route(member, WIDER)

    member.start()

    member.wait_linked(fresh_pair.ca)
    assert f"lies inside the route {WIDER}" in member.log
    member.wait_reaches(fresh_pair.ca)
