"""The gateway as the routing table says it, and where there is none."""

from ipaddress import IPv4Address, ip_address, ip_interface, ip_network

import pytest

from pulse.core.paths.portmap import Gateway
from pulse.net.gateway import choose, default_gateway
from pulse.net.netlink import HostAddress, HostRoute
from tests.namespace import inside, ip, namespace

HOME = Gateway(IPv4Address("192.168.1.1"), IPv4Address("192.168.1.2"), "eth0")


def default(gateway: str = "192.168.1.1", interface: str = "eth0", metric: int = 0, table: int = 254) -> HostRoute:
    family = "0.0.0.0/0" if ":" not in gateway else "::/0"
    return HostRoute(ip_network(family), interface, "unicast", table, ip_address(gateway), metric)


def address(text: str = "192.168.1.2/24", interface: str = "eth0", *, tunnel: bool = False) -> HostAddress:
    return HostAddress(interface, ip_interface(text), tunnel)


def test_the_default_route_names_the_gateway_and_its_interface_our_address() -> None:
    addresses = [address("10.9.9.9/8"), address("fd00::2/64"), address(), address("10.0.0.2/24", "eth1")]

    assert choose([default("10.0.0.1", "eth1", metric=100), default()], addresses) == HOME


def test_the_lower_metric_is_taken() -> None:
    addresses = [address(), address("10.0.0.2/24", "wlan0")]

    found = choose([default(metric=200), default("10.0.0.1", "wlan0", metric=100)], addresses)
    assert found == Gateway(IPv4Address("10.0.0.1"), IPv4Address("10.0.0.2"), "wlan0")


def test_a_gateway_outside_every_prefix_is_reached_from_the_first_address() -> None:
    assert choose([default("172.31.1.1")], [address("203.0.113.9/32")]) == Gateway(
        IPv4Address("172.31.1.1"), IPv4Address("203.0.113.9"), "eth0"
    )


@pytest.mark.parametrize(
    "routes",
    [
        [],
        [default("fd00::1")],
        [default(table=5200)],
        [HostRoute(ip_network("0.0.0.0/0"), "eth0", "unicast")],
        [HostRoute(ip_network("10.0.0.0/8"), "eth0", "unicast", 254, ip_address("192.168.1.1"))],
        [default(interface="eth7")],
    ],
)
def test_without_an_ipv4_default_route_over_a_router_there_is_none(routes: list[HostRoute]) -> None:
    assert choose(routes, [address()]) is None


def test_a_router_beyond_a_tunnel_or_our_own_device_is_none() -> None:
    behind = [default("10.8.0.1", "tun0"), default(metric=100)]
    addresses = [address(), address("10.8.0.2/24", "tun0", tunnel=True)]
    assert choose(behind, addresses) is None
    assert choose([default(interface="pulse0")], [address(interface="pulse0")], ["pulse0"]) is None


@pytest.mark.parametrize(("listen", "found"), [("", True), ("::", True), ("192.168.1.2", True), ("127.0.0.1", False)])
def test_the_kernel_is_asked_and_who_listens_elsewhere_has_none(listen: str, found: bool) -> None:
    with namespace() as name, inside(name):
        assert default_gateway(listen) is None
        ip(name, "link", "add", "eth0", "type", "veth", "peer", "name", "far")
        ip(name, "address", "add", "192.168.1.2/24", "dev", "eth0")
        ip(name, "link", "set", "eth0", "up")
        ip(name, "route", "add", "default", "via", "192.168.1.1", "metric", "100")

        assert default_gateway(listen) == (HOME if found else None)
