"""A way that takes less than the machines at its ends think, and says so to nobody: all arrives whole nevertheless.

Between relay and right lie two routers, and the cable between these becomes narrower from test to test, while a stream
passes. No ICMP message of the underlay gets anywhere. Left reaches the relay alone, over an ordinary cable.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import Final

import pytest

from pulse.lab import stream
from pulse.lab.host import wait_until
from pulse.lab.lab import Lab
from pulse.lab.plan import HostPlan, NetworkPlan, Plan
from pulse.lab.stream import Stream
from pulse.lab.transfer import measure
from tests.e2e.mesh import PATIENCE, Mesh, Node, bring_up_relay
from tests.namespace import require_root

PLAN: Final = Plan(
    {"relay": HostPlan(), "left": HostPlan(), "g1": HostPlan(router=True), "g2": HostPlan(router=True),
     "right": HostPlan()},
    tuple(NetworkPlan(ends) for ends in (("relay", "g1"), ("g1", "g2"), ("g2", "right"), ("relay", "left"))),
)  # fmt: skip

NO_ICMP: Final = """
table inet silent {
    chain in { type filter hook input priority 0; iifname "eth*" jump errors; }
    chain out { type filter hook output priority 0; oifname "eth*" jump errors; }
    chain errors { meta l4proto icmp drop; icmpv6 type { destination-unreachable, packet-too-big } drop; }
}
"""
"""Only the neighbours of IPv6 are let find each other."""

TUN: Final = 1340
RECORD: Final = 32
FRAME: Final = 48
HEADERS: Final = {"v4": 28, "v6": 48}
"""Of a ping."""

UDP: Final = 28
UNDERLAYS: Final = {
    1500: (TUN, TUN),
    1400: (TUN, 1400 - UDP - FRAME - RECORD),
    1280: (1280 - UDP - RECORD, 1280 - UDP - FRAME - RECORD),
    1200: (TUN, TUN),
}
"""What the narrow cable takes, and the longest packets that go whole over it: to its far end, and to who is beyond.
Over a WebSocket all do."""

QUIC_NEEDS: Final = 1228
QUICK: Final = ("-c", "4", "-i", "0.02")
MIB: Final = 1 << 20
PACE: Final = 20.0


@dataclass(frozen=True, slots=True)
class Narrow:
    """The mesh once its cable takes no more than this, and the stream that passed meanwhile."""

    mesh: Mesh
    underlay: int
    stream: Stream

    @property
    def mtu(self) -> int:
        """Of a path over the cable alone."""
        return UNDERLAYS[self.underlay][0]

    @property
    def mtu_relayed(self) -> int:
        """Of a path that begins with the cable and ends elsewhere."""
        return UNDERLAYS[self.underlay][1]

    @property
    def ends(self) -> tuple[tuple[Node, Node], tuple[Node, Node]]:
        """Both directions of that path."""
        relay, right = self.mesh["relay"], self.mesh["right"]
        return (relay, right), (right, relay)


@pytest.fixture(scope="module")
def mesh() -> Iterator[Mesh]:
    """All three are members; the routers are not."""
    require_root()
    with Lab(PLAN) as lab:
        for host in lab.hosts.values():
            host.run(["nft", "-f", "-"], stdin=NO_ICMP)
        made = bring_up_relay(lab)
        yield made
        assert made.errors == []


@pytest.fixture(scope="module", params=UNDERLAYS)
def narrow(mesh: Mesh, request: pytest.FixtureRequest) -> Narrow:
    """The cable has become so narrow while a stream passed, and both ends have found out."""
    underlay: int = request.param
    relay, right = mesh["relay"], mesh["right"]
    under_way = stream.begin(relay.host, right.host, right.v4, mbit=PACE)
    for router, interface in (("g1", "eth1"), ("g2", "eth0")):
        mesh.lab[router].run(["ip", "link", "set", interface, "mtu", str(underlay)])
    made = Narrow(mesh, underlay, under_way)
    under_way.wait_moving(MIB)
    for node, other in made.ends:
        wait_until(partial(has_found_out, node, other, made), f"{node.host.name} knows of {underlay} bytes", PATIENCE)
        # Else the kernel would believe for ten minutes what it was told of the cable as it was.
        node.host.run(["sh", "-c", "ip route flush cache; ip -6 route flush cache"])
    return made


def has_found_out(node: Node, other: Node, narrow: Narrow) -> bool:
    """True if it reaches the other in the way the cable allows, with the MTU that leaves."""
    transport = "quic" if narrow.underlay >= QUIC_NEEDS else "websocket"
    row, beyond = node.sees(other), narrow.mesh["left"]
    from_its_end = node is not narrow.mesh["right"] or node.sees(beyond).mtu == narrow.mtu_relayed
    return (row.link, row.mtu) == (transport, narrow.mtu) and from_its_end


def refused(node: Node, address: str, length: int, family: str) -> int:
    """The MTU heard by pings of that length in all, which nobody may break up; 0 if answered, -1 for silence."""
    said = node.pings(address, "-M", "do", "-s", str(length - HEADERS[family]), *QUICK)
    if said.code == 0:
        return 0
    text = f"{said.stdout}{said.stderr}".replace("mtu = ", "mtu=").replace("mtu: ", "mtu=")
    return int(next(iter(re.findall(r"mtu=(\d+)", text)), -1))


def check_refused_beyond(mtu: int, node: Node, address: str, family: str) -> None:
    """Pings of so many bytes are answered, longer ones with that MTU, unless sizes are tried: all goes split then."""

    def is_told() -> bool:
        return [refused(node, address, length, family) for length in (mtu, mtu + 1)] == [0, mtu]

    wait_until(is_told, f"{node.host.name} hears of {mtu} bytes, and no less", PATIENCE)


def test_a_stream_goes_on_while_the_way_becomes_so_narrow(narrow: Narrow) -> None:
    assert narrow.stream.finish().hash_equal


@pytest.mark.parametrize("family", ["v4", "v6"])
def test_a_mebibyte_arrives_whole_each_way(narrow: Narrow, family: str) -> None:
    for node, other in narrow.ends:
        assert measure(node.host, other.host, getattr(other, family), MIB).hash_equal


def test_a_mebibyte_arrives_whole_over_a_relay_each_way(narrow: Narrow) -> None:
    left, right = narrow.mesh["left"], narrow.mesh["right"]

    assert measure(left.host, right.host, right.v6, MIB).hash_equal
    assert measure(right.host, left.host, left.v4, MIB).hash_equal


@pytest.mark.parametrize("family", ["v4", "v6"])
def test_what_is_longer_than_the_path_takes_is_answered_with_its_mtu(narrow: Narrow, family: str) -> None:
    mtu = max(narrow.mtu, 1280) if family == "v6" else narrow.mtu
    for node, other in narrow.ends:
        check_refused_beyond(mtu, node, getattr(other, family), family)


@pytest.mark.parametrize("family", ["v4", "v6"])
def test_what_may_be_broken_up_arrives_at_any_length(narrow: Narrow, family: str) -> None:
    for node, other in narrow.ends:
        for length in (1280, TUN, 9000):
            sized = ("-s", str(length - HEADERS[family]), *QUICK)
            assert node.pings(getattr(other, family), *sized).code == 0, length


def test_over_a_relay_the_first_link_decides_and_the_relay_splits(narrow: Narrow) -> None:
    left, right = narrow.mesh["left"], narrow.mesh["right"]

    wait_until(lambda: (left.sees(right).mtu, right.sees(left).mtu) == (TUN, narrow.mtu_relayed), "sizes", PATIENCE)
    assert refused(left, right.v4, TUN, "v4") == 0
    check_refused_beyond(narrow.mtu_relayed, right, left.v4, "v4")


@pytest.mark.parametrize("narrow", [1200], indirect=True)
def test_where_no_quic_passes_a_node_comes_up_over_a_websocket_by_itself(narrow: Narrow) -> None:
    relay, right = narrow.mesh["relay"], narrow.mesh["right"]
    right.stop()
    right.start()
    wait_until(partial(has_found_out, right, relay, narrow), "right is linked by WebSocket", PATIENCE)

    assert measure(right.host, relay.host, relay.v4, MIB).hash_equal
