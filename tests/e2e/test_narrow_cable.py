"""A relay whose cable to one end takes no more than IPv6 has to have: what is longer goes in two and arrives whole."""

from collections.abc import Iterator
from typing import Final

import pytest

from pulse.lab.lab import Lab
from pulse.lab.plan import NetworkPlan, Plan
from pulse.lab.topologies import RELAY
from pulse.lab.transfer import measure
from tests.e2e.mesh import Mesh, Node, bring_up_relay
from tests.namespace import require_root

NARROW: Final = 1280
MTU: Final = 1340
"""Of pulse0, so more than the narrow cable takes even of what is not sealed."""
HEADERS: Final = {"v4": 28, "v6": 48}
MIB: Final = 1 << 20

NARROW_AT_RIGHT: Final = Plan(RELAY.hosts, (RELAY.networks[0], NetworkPlan(("relay", "right"), mtu=NARROW)))


@pytest.fixture(scope="module")
def mesh() -> Iterator[Mesh]:
    """A relay, a node on an ordinary cable, and one on a narrow one."""
    require_root()
    with Lab(NARROW_AT_RIGHT) as lab:
        made = bring_up_relay(lab)
        yield made
        assert made.errors == []


@pytest.mark.parametrize("family", ["v4", "v6"])
def test_a_mebibyte_arrives_whole_each_way(mesh: Mesh, family: str) -> None:
    left, right = mesh["left"], mesh["right"]

    assert measure(left.host, right.host, getattr(right, family), MIB).hash_equal
    assert measure(right.host, left.host, getattr(left, family), MIB).hash_equal


@pytest.mark.parametrize("family", ["v4", "v6"])
def test_a_packet_longer_than_the_cable_takes_arrives_in_one_piece(mesh: Mesh, family: str) -> None:
    for one, other in (("left", "right"), ("right", "left"), ("relay", "right"), ("right", "relay")):
        assert passes_unbroken(mesh[one], getattr(mesh[other], family), MTU - HEADERS[family]), (one, other)
    assert {name: broken_up(node) for name, node in mesh.nodes.items() if broken_up(node)} == {}


def passes_unbroken(node: Node, address: str, size: int) -> bool:
    """True if pings with so much in them, which nobody may break up, are answered."""
    return node.pings(address, "-M", "do", "-s", str(size)).code == 0


def broken_up(node: Node) -> int:
    """How many fragments the kernel of its host has made, for either version of IP."""
    older = [line.split() for line in node.host.run(["cat", "/proc/net/snmp"]).stdout.splitlines() if "Ip:" in line]
    newer = dict(line.split() for line in node.host.run(["cat", "/proc/net/snmp6"]).stdout.splitlines())
    return int(dict(zip(*older, strict=True))["FragCreates"]) + int(newer["Ip6FragCreates"])
