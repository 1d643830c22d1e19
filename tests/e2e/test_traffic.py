"""What a mesh is for: every kind of IP traffic arrives whole, over both families, both ways."""

import socket
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from pulse.lab.transfer import GIBIBYTE, measure
from tests.e2e.exchange import arrives_whole, connected, digesting, echoing, noise, open_socket
from tests.e2e.mesh import Node, Pair

MTU = 1340
UDP_HEADERS = {"v4": 28, "v6": 48}
FLOWS = 64
FLOW_BYTES = 2 << 20


def ends(pair: Pair, family: str) -> tuple[Node, str, Node, str]:
    """The member and its address, the CA and its own."""
    return pair.member, getattr(pair.member, family), pair.ca, getattr(pair.ca, family)


@pytest.mark.parametrize("family", ["v4", "v6"])
def test_pings_are_answered_both_ways(pair: Pair, family: str) -> None:
    member, here, ca, there = ends(pair, family)

    assert member.pings(there).code == 0
    assert ca.pings(here).code == 0


@pytest.mark.parametrize("family", ["v4", "v6"])
@pytest.mark.parametrize("size", [1312, 1313, 9000, 60_000])
def test_pings_too_big_for_one_packet_are_answered_in_fragments(pair: Pair, family: str, size: int) -> None:
    member, _, _, there = ends(pair, family)

    assert member.pings(there, "-s", str(size)).code == 0


@pytest.mark.parametrize("family", ["v4", "v6"])
def test_a_ping_that_may_not_be_fragmented_hears_the_mtu(pair: Pair, family: str) -> None:
    member, _, _, there = ends(pair, family)
    fits = MTU - UDP_HEADERS[family]

    assert member.pings(there, "-M", "do", "-s", str(fits)).code == 0
    refused = member.pings(there, "-M", "do", "-s", str(fits + 1))

    assert refused.code != 0
    assert f"mtu={MTU}" in f"{refused.stdout}{refused.stderr}".replace("mtu: ", "mtu=")


@pytest.mark.parametrize("family", ["v4", "v6"])
def test_datagrams_of_every_size_come_back_as_they_left(pair: Pair, family: str) -> None:
    member, here, ca, there = ends(pair, family)
    fits = MTU - UDP_HEADERS[family]
    sizes = [1, 2, 3, 63, 64, 65, 508, 1199, fits - 1, fits, fits + 1, 2 * fits, 4096, 9000, 32_768, 60_000]

    with echoing(ca.host, there) as port, open_socket(member.host, here, socket.SOCK_DGRAM) as ours:
        for size in sizes:
            sent = noise(f"{family} {size}", size)
            ours.sendto(sent, (there, port))
            assert ours.recvfrom(65_536)[0] == sent, size


def test_a_gibibyte_arrives_whole_each_way(pair: Pair) -> None:
    member, here, ca, there = ends(pair, "v4")

    assert measure(member.host, ca.host, there, GIBIBYTE).hash_equal
    assert measure(ca.host, member.host, here, GIBIBYTE).hash_equal


def test_a_stream_over_ipv6_arrives_whole_each_way(pair: Pair) -> None:
    member, here, ca, there = ends(pair, "v6")

    assert measure(member.host, ca.host, there, 100 << 20).hash_equal
    assert measure(ca.host, member.host, here, 100 << 20).hash_equal


def test_64_flows_at_once_all_arrive_whole(pair: Pair) -> None:
    member, here, ca, there = ends(pair, "v4")
    all_open = threading.Barrier(FLOWS)

    def flow(number: int, port: int) -> bool:
        with connected(member.host, here, (there, port)) as connection:
            all_open.wait()
            return arrives_whole(connection, noise(f"flow {number}", FLOW_BYTES))

    with digesting(ca.host, there, FLOWS) as port, ThreadPoolExecutor(FLOWS) as pool:
        whole = list(pool.map(lambda number: flow(number, port), range(FLOWS)))

    assert whole == [True] * FLOWS
