"""Overlaps of the mesh range with the host's network, and the addresses worth telling others."""

from ipaddress import IPv4Address, IPv4Network, IPv6Address, ip_interface, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pulse.errors import Conflict
from pulse.net.interfaces import conflicts, connected_networks, host_addresses, host_routes, reachable
from pulse.net.netlink import HostAddress, HostRoute
from tests.namespace import inside, ip, namespace

MESH = IPv4Network("10.100.0.0/16")


def route(destination: str, interface: str = "eth0", kind: str = "unicast") -> HostRoute:
    return HostRoute(ip_network(destination), interface, kind)


@pytest.mark.parametrize("destination", ["10.100.0.0/16", "10.100.7.0/24", "10.100.7.9/32"])
def test_a_route_equal_to_the_range_or_inside_it_is_refused_by_name(destination: str) -> None:
    with pytest.raises(Conflict, match=f"interface eth0 has the route {destination}") as refusal:
        conflicts(MESH, [route("0.0.0.0/0"), route(destination)])
    assert "--mesh-cidr" in str(refusal.value)


def test_an_address_of_the_host_inside_the_range_is_refused_by_name() -> None:
    with pytest.raises(Conflict, match=r"interface lo has the address 10\.100\.7\.9/32"):
        conflicts(MESH, [route("10.100.7.9/32", "lo", "local")])


def test_a_wider_route_is_a_warning() -> None:
    (warning,) = conflicts(MESH, [route("10.0.0.0/8")])

    assert "10.0.0.0/8" in warning
    assert "eth0" in warning


@pytest.mark.parametrize("destination", ["0.0.0.0/0", "192.168.0.0/16", "10.101.0.0/16", "fd00::/8"])
def test_the_default_route_and_routes_elsewhere_are_fine(destination: str) -> None:
    assert conflicts(MESH, [route(destination)]) == []


def test_routes_of_our_own_interface_do_not_count() -> None:
    assert conflicts(MESH, [route("10.100.0.0/16", "pulse0")], ours=["pulse0"]) == []


@given(st.integers(0, 2**32 - 1), st.integers(1, 32))
def test_the_outcome_is_that_of_comparing_the_addresses(base: int, length: int) -> None:
    there = IPv4Network((base, length), strict=False)
    first, last = int(MESH.network_address), int(MESH.broadcast_address)
    inside_mesh = first <= int(there.network_address) and int(there.broadcast_address) <= last
    around_mesh = int(there.network_address) <= first and last <= int(there.broadcast_address)

    if inside_mesh:
        with pytest.raises(Conflict):
            conflicts(MESH, [route(str(there))])
    else:
        assert len(conflicts(MESH, [route(str(there))])) == around_mesh


def test_only_addresses_another_host_can_use_are_told() -> None:
    there = ["127.0.0.1/8", "192.0.2.2/24", "169.254.3.3/16", "::1/128", "fe80::1/64", "2001:db8::2/64"]
    addresses = [HostAddress("eth0", ip_interface(address)) for address in there]
    addresses.append(HostAddress("pulse0", ip_interface("10.100.41.7/16")))

    assert reachable(addresses, ours=["pulse0"]) == [IPv4Address("192.0.2.2"), IPv6Address("2001:db8::2")]


def test_the_hosts_own_network_is_read_where_it_is() -> None:
    with namespace() as name:
        ip(name, "link", "add", "wan", "type", "veth", "peer", "name", "far")
        ip(name, "address", "add", "10.100.3.1/24", "dev", "wan")
        ip(name, "link", "set", "wan", "up")
        with inside(name):
            assert host_addresses() == [IPv4Address("10.100.3.1")]
            with pytest.raises(Conflict, match="wan"):
                conflicts(MESH, host_routes())


def test_networks_of_the_internet_that_the_host_is_in_are_those_of_addresses_and_without_a_gateway() -> None:
    with namespace() as name, inside(name):
        ip(name, "link", "add", "eth0", "type", "veth", "peer", "name", "eth1")
        for each in ("eth0", "eth1"):
            ip(name, "link", "set", each, "up")
        for address in ("203.0.113.9/24", "192.168.7.9/24", "fd00:7::9/64", "2001:db8:9::9/128"):
            ip(name, "address", "add", address, "dev", "eth0", *(["nodad"] if ":" in address else []))
        ip(name, "route", "add", "198.51.100.0/24", "via", "203.0.113.1")
        ip(name, "route", "add", "0.0.0.0/1", "dev", "eth0")
        # As a router advertises it to a host whose address came by DHCP.
        ip(name, "-6", "route", "add", "2001:db8:9::/64", "dev", "eth0", "proto", "ra")

        assert [str(each) for each in connected_networks()] == [
            "203.0.113.0/24",
            "2001:db8:9::/64",
            "2001:db8:9::9/128",
        ]
