"""Rtnetlink against `ip -j`, in namespaces."""

import os
from collections.abc import Iterator
from ipaddress import ip_address, ip_interface, ip_network

import pytest

from pulse.errors import SystemRefused
from pulse.lab.host import wait_until
from pulse.net.netlink import HostAddress, HostRoute, Netlink
from tests.namespace import inside, ip, ip_json, namespace


@pytest.fixture
def host() -> Iterator[str]:
    with namespace() as name:
        ip(name, "tuntap", "add", "pulse0", "mode", "tun")
        yield name


@pytest.fixture
def kernel(host: str) -> Iterator[Netlink]:
    with inside(host):
        netlink = Netlink()
    with netlink:
        yield netlink


def test_a_link_gets_its_sizes_and_goes_up_and_down(host: str, kernel: Netlink) -> None:
    kernel.set_link("pulse0", up=True, mtu=1340, gso_max_size=60000)

    (link,) = ip_json(host, "link", "show", "pulse0")
    assert (link["mtu"], link["gso_max_size"]) == (1340, 60000)
    assert "UP" in link["flags"]

    kernel.set_link("pulse0", up=False)

    (link,) = ip_json(host, "link", "show", "pulse0")
    assert "UP" not in link["flags"]
    assert link["mtu"] == 1340


@pytest.mark.parametrize("address", ["10.100.41.7/16", "10.100.0.1/32", "fd7a:91c2::33/48", "fd7a::1/128"])
def test_an_address_is_as_ip_shows_it(host: str, kernel: Netlink, address: str) -> None:
    kernel.set_link("pulse0", up=True)
    kernel.add_address("pulse0", ip_interface(address))

    (shown,) = ip_json(host, "address", "show", "pulse0")
    found = [f"{entry['local']}/{entry['prefixlen']}" for entry in shown["addr_info"]]
    assert address in found
    assert not any(entry.get("tentative") for entry in shown["addr_info"])


def test_an_address_given_twice_is_there_once(host: str, kernel: Netlink) -> None:
    kernel.add_address("pulse0", ip_interface("10.100.41.7/16"))
    kernel.add_address("pulse0", ip_interface("10.100.41.7/16"))

    assert [found.interface for found in kernel.addresses() if found.address.version == 4] == ["lo", "pulse0"]


def test_all_addresses_are_listed_as_ip_lists_them(host: str, kernel: Netlink) -> None:
    for number in range(200):
        ip(host, "address", "add", f"10.7.{number}.1/24", "dev", "pulse0")

    shown = {
        HostAddress(
            link["ifname"],
            ip_interface(f"{entry['local']}/{entry['prefixlen']}"),
            link["link_type"] == "none",
            link["ifindex"],
        )
        for link in ip_json(host, "address")
        for entry in link["addr_info"]
    }
    assert set(kernel.addresses()) == shown


def test_others_may_be_behind_an_interface_that_is_up_with_its_cable_in_and_is_no_bridges(
    host: str, kernel: Netlink
) -> None:
    ip(host, "link", "add", "wan", "type", "veth", "peer", "name", "far")
    ip(host, "link", "add", "port", "type", "veth", "peer", "name", "container")
    ip(host, "link", "add", "br0", "type", "bridge")
    ip(host, "link", "set", "port", "master", "br0")
    for number, name in enumerate(("lo", "pulse0", "wan", "far", "port", "container", "br0"), 1):
        ip(host, "address", "add", f"192.0.2.{number}/32", "dev", name)

    def near() -> set[str]:
        return {each.interface for each in kernel.addresses() if each.lan}

    assert near() == set()
    ip(host, "link", "set", "wan", "up")
    assert near() == set(), "the cable is not plugged in"
    for name in ("pulse0", "far", "port", "container", "br0"):
        ip(host, "link", "set", name, "up")
    wait_until(lambda: near() == {"wan", "far", "container", "br0"}, "the bridge has a cable", 20.0)


def test_a_host_has_a_network_once_an_interface_that_is_no_tunnel_is_up_with_its_cable_in(
    host: str, kernel: Netlink
) -> None:
    ip(host, "link", "add", "wan", "type", "veth", "peer", "name", "far")
    for name in ("lo", "pulse0", "wan"):
        ip(host, "link", "set", name, "up")
    assert not kernel.has_network()
    ip(host, "link", "set", "far", "up")
    wait_until(kernel.has_network, "the cable is in", 20.0)


@pytest.mark.parametrize("destination", ["192.168.77.0/24", "0.0.0.0/1", "10.9.9.9/32", "fd00:77::/64", "::/1"])
@pytest.mark.parametrize("table", [254, 5200])
def test_a_route_of_any_table_is_listed_while_it_is_there(
    host: str, kernel: Netlink, destination: str, table: int
) -> None:
    kernel.set_link("pulse0", up=True)
    family = "-6" if ":" in destination else "-4"
    # The kernel gives IPv6 routes a metric of its own.
    metric = 1024 if ":" in destination else 0
    wanted = HostRoute(ip_network(destination), "pulse0", "unicast", table, metric=metric)

    ip(host, family, "route", "add", destination, "dev", "pulse0", "table", str(table))
    for asked in (0, table):
        assert wanted in kernel.routes(asked)
    assert wanted not in kernel.routes(5201)

    kernel.set_link("pulse0", up=False)
    assert wanted not in kernel.routes()


def test_routes_are_listed_with_the_hosts_own_addresses(host: str, kernel: Netlink) -> None:
    ip(host, "address", "add", "10.7.0.1/24", "dev", "pulse0")
    ip(host, "link", "set", "pulse0", "up")
    ip(host, "route", "add", "blackhole", "10.66.0.0/16")

    found = {(str(route.destination), route.interface, route.kind) for route in kernel.routes()}

    assert ("10.7.0.0/24", "pulse0", "unicast") in found
    assert ("10.7.0.1/32", "pulse0", "local") in found
    assert not any(destination == "10.66.0.0/16" for destination, _, _ in found)


def test_gateway_and_metric_of_a_route_are_listed(host: str, kernel: Netlink) -> None:
    ip(host, "address", "add", "10.7.0.1/24", "dev", "pulse0")
    ip(host, "address", "add", "fd00:7::1/64", "dev", "pulse0")
    ip(host, "link", "set", "pulse0", "up")
    ip(host, "route", "add", "default", "via", "10.7.0.9", "metric", "77")
    ip(host, "route", "add", "default", "via", "fd00:7::9", "metric", "78")
    ip(host, "route", "add", "default", "dev", "pulse0", "metric", "79")

    found = [route for route in kernel.routes() if route.destination.prefixlen == 0 and route.interface == "pulse0"]

    v4, v6 = ip_network("0.0.0.0/0"), ip_network("::/0")
    assert HostRoute(v4, "pulse0", "unicast", gateway=ip_address("10.7.0.9"), metric=77) in found
    assert HostRoute(v6, "pulse0", "unicast", gateway=ip_address("fd00:7::9"), metric=78) in found
    assert HostRoute(v4, "pulse0", "unicast", metric=79) in found


def test_the_kernels_own_words_are_told(kernel: Netlink) -> None:
    with pytest.raises(SystemRefused, match=r"cannot set up interface pulse0: Invalid argument \(mtu"):
        kernel.set_link("pulse0", mtu=1)


@pytest.mark.parametrize("name", ["pulse7", "", "longer-than-fifteen"])
def test_an_interface_that_is_not_there_is_named(kernel: Netlink, name: str) -> None:
    with pytest.raises(SystemRefused, match=f'no network interface {name}|"{name}" cannot name'):
        kernel.add_address(name, ip_interface("10.100.41.7/16"))


def test_without_the_right_to_change_the_network_the_capability_is_named(host: str) -> None:
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:  # gives up root for good, so in a process of its own
        with inside(host), Netlink() as netlink:
            os.setuid(65534)
            try:
                netlink.set_link("pulse0", up=True)
            except SystemRefused as error:
                os.write(writer, str(error).encode())
            finally:
                os._exit(0)
    os.waitpid(child, 0)
    os.close(writer)

    assert b"CAP_NET_ADMIN" in os.read(reader, 4096)
