"""Two nodes that reach one relay alone: all traffic arrives whole, both faces name the relay, and it reads nothing."""

import secrets
import socket
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from pulse.lab import memory, stream
from pulse.lab.capture import searched
from pulse.lab.host import wait_until
from pulse.lab.lab import Lab
from pulse.lab.memory import search
from pulse.lab.topologies import RELAY
from pulse.lab.transfer import measure
from tests.e2e.exchange import echoing, noise, open_socket
from tests.e2e.mesh import PATIENCE, Mesh, Node, bring_up_relay
from tests.namespace import require_root

MTU = 1340
UDP_HEADERS = {"v4": 28, "v6": 48}


@pytest.fixture(scope="module")
def mesh() -> Iterator[Mesh]:
    """A relay, and two nodes that reach nobody else."""
    require_root()
    with Lab(RELAY) as lab:
        made = bring_up_relay(lab)
        for end in (made["left"], made["right"]):
            # While it starts a WebSocket may be quicker, and is replaced soon.
            wait_until(partial(is_linked_by_quic, end, made["relay"]), f"{end.host.name} is linked by QUIC", PATIENCE)
        yield made
        assert made.errors == []


def is_linked_by_quic(end: Node, relay: Node) -> bool:
    return end.sees(relay).link == relay.sees(end).link == "quic"


@pytest.mark.parametrize("family", ["v4", "v6"])
def test_pings_are_answered_both_ways(mesh: Mesh, family: str) -> None:
    left, right = mesh["left"], mesh["right"]

    assert left.pings(getattr(right, family)).code == 0
    assert right.pings(getattr(left, family)).code == 0


def test_the_status_of_both_names_the_relay(mesh: Mesh) -> None:
    for node, other in (("left", "right"), ("right", "left")):
        row = mesh[node].sees(mesh[other])

        assert (row.link, row.via, row.hops, row.seen) == ("quic", "relay", 2, 0.0)
    assert mesh["left"].sees(mesh["relay"]).via == ""
    assert mesh["left"].status().sentence == "All well. 3 nodes, 1 direct, 1 over a relay."
    wait_until(lambda: mesh["left"].sees(mesh["right"]).rtt, "the path was measured", PATIENCE)


def test_a_ping_of_the_node_itself_names_the_way(mesh: Mesh) -> None:
    said = mesh["left"].host.pulse("ping", "right", "-c", "1").stdout

    assert said.endswith("by quic over relay\n")


def test_a_trace_shows_each_hop(mesh: Mesh) -> None:
    found = mesh["left"].trace(mesh["right"])

    assert [hop.name for hop in found.hops] == ["relay", "right"]
    assert [hop.v4 for hop in found.hops] == [mesh["relay"].v4, mesh["right"].v4]
    assert (found.problem, {hop.link for hop in found.hops}) == ("", {"quic"})
    assert found.rtt is not None


@pytest.mark.parametrize("family", ["v4", "v6"])
def test_datagrams_of_every_size_come_back_as_they_left(mesh: Mesh, family: str) -> None:
    left, right = mesh["left"], mesh["right"]
    here, there = getattr(left, family), getattr(right, family)
    fits = MTU - UDP_HEADERS[family]
    sizes = [1, 2, 63, 64, 65, 508, 1199, fits - 1, fits, fits + 1, 2 * fits, 4096, 9000, 32_768, 60_000]

    with echoing(right.host, there) as port, open_socket(left.host, here, socket.SOCK_DGRAM) as ours:
        for size in sizes:
            sent = noise(f"{family} {size}", size)
            ours.sendto(sent, (there, port))
            assert ours.recvfrom(65_536)[0] == sent, size


@pytest.mark.parametrize("family", ["v4", "v6"])
def test_a_transfer_arrives_whole_each_way(mesh: Mesh, family: str) -> None:
    left, right = mesh["left"], mesh["right"]

    assert measure(left.host, right.host, getattr(right, family), 200 << 20).hash_equal
    assert measure(right.host, left.host, getattr(left, family), 100 << 20).hash_equal


def test_neither_wire_nor_memory_of_the_relay_has_what_passes_it(mesh: Mesh, tmp_path: Path) -> None:
    canary = secrets.token_hex(16).encode()
    relay, left, right = mesh["relay"], mesh["left"], mesh["right"]

    with searched(relay.host, canary) as passing, searched(right.host, canary, "pulse0") as arriving:
        under_way = stream.begin(left.host, right.host, right.v4, mbit=40, text=canary)
        under_way.wait_moving(4 << 20)
        held = search(relay.pid, canary)
        relay.host.run(["gcore", "-o", str(tmp_path / "core"), str(relay.pid)])
        received = search(under_way.receiver.process.pid, canary)
        assert under_way.finish().hash_equal

    assert (passing.found, held.found, occurrences(tmp_path / f"core.{relay.pid}", canary)) == (0, 0, 0)
    assert canary.decode() not in relay.log
    assert passing.packets > 100
    assert arriving.found > 100
    assert received.found > 0
    assert held.size > 10 << 20
    assert occurrences(tmp_path / f"core.{relay.pid}", b"\x7fELF") > 1


def occurrences(path: Path, text: bytes) -> int:
    """How often a file has a text."""
    found, tail = 0, b""
    with path.open("rb") as file:
        while piece := file.read(memory.PIECE):
            found += (tail + piece).count(text)
            tail = (tail + piece)[-(len(text) - 1) :]
    return found
