"""Our table and its rules, with `ip` as the oracle."""

from collections.abc import Iterator
from ipaddress import ip_network

import pytest

from pulse.net.netlink import Netlink
from pulse.net.policyrouting import BY_DEVICE, MARK, REFUSED, TABLE, PolicyRouting, TableRoute, wanted_routes
from tests.namespace import inside, ip, ip_json, namespace

V4, V6, LAN = ip_network("0.0.0.0/0"), ip_network("::/0"), ip_network("192.168.7.0/24")
PUBLIC = "203.0.113.9"


@pytest.fixture
def host() -> Iterator[str]:
    """A host with a default route over a cable, an address on it, and a TUN device."""
    with namespace() as name:
        ip(name, "tuntap", "add", "pulse0", "mode", "tun")
        ip(name, "link", "add", "e0", "type", "veth", "peer", "name", "e1")
        for device in ("pulse0", "e0", "e1"):
            ip(name, "link", "set", device, "up")
        ip(name, "address", "add", "198.18.1.1/24", "dev", "e0")
        ip(name, "address", "add", "10.100.0.1/16", "dev", "pulse0")
        ip(name, "route", "add", "default", "via", "198.18.1.9")
        yield name


@pytest.fixture
def kernel(host: str) -> Iterator[PolicyRouting]:
    with inside(host):
        routing = PolicyRouting()
    with routing:
        yield routing


def way(host: str, *arguments: str) -> str:
    """The device by which a packet leaves; `unreachable` if none."""
    try:
        (route,) = ip_json(host, "route", "get", *arguments)
    except Exception:
        return "unreachable"
    return str(route["dev"])


def test_all_but_our_own_packets_and_those_of_nearer_routes_go_to_the_device(host: str, kernel: PolicyRouting) -> None:
    assert kernel.apply(wanted_routes({V4: "pulse0"}))

    assert way(host, PUBLIC) == "pulse0"
    assert way(host, PUBLIC, "mark", hex(MARK)) == "e0"
    assert way(host, "198.18.1.7") == "e0"
    assert not kernel.apply(wanted_routes({V4: "pulse0"}))


def test_a_range_without_a_device_or_whose_device_is_gone_is_refused(host: str, kernel: PolicyRouting) -> None:
    kernel.apply(wanted_routes({V4: "pulse0", LAN: ""}))
    assert (way(host, "192.168.7.7"), way(host, PUBLIC)) == ("unreachable", "pulse0")

    ip(host, "link", "delete", "pulse0")
    assert way(host, PUBLIC) == "unreachable"
    assert way(host, PUBLIC, "mark", hex(MARK)) == "e0"


def test_nothing_is_left_and_routes_of_others_stay(host: str, kernel: PolicyRouting) -> None:
    before = ip(host, "rule"), ip(host, "-6", "rule"), ip(host, "route")
    ip(host, "route", "add", "10.9.0.0/16", "dev", "e0", "table", "99")
    kernel.apply(wanted_routes({V4: "pulse0", LAN: "pulse0"}))
    assert kernel.rules() == {(family, priority) for family in (2, 10) for priority in (18100, 18101)}

    kernel.apply(wanted_routes({}))
    assert (ip(host, "rule"), ip(host, "-6", "rule"), ip(host, "route")) == before
    assert kernel.table() == frozenset()
    assert "10.9.0.0/16" in ip(host, "route", "show", "table", "99")


def test_the_ipv6_internet_is_refused_where_only_the_other_one_is_reached_through_others() -> None:
    assert TableRoute(V6, "", REFUSED) in wanted_routes({V4: "pulse0"})
    assert {each.prefix for each in wanted_routes({LAN: "pulse0"})} == {LAN}
    assert TableRoute(V6, "pulse0", BY_DEVICE) in wanted_routes({V4: "pulse0", V6: "pulse0"})


def test_the_gateway_of_the_host_is_found_beside_our_table(host: str, kernel: PolicyRouting) -> None:
    kernel.apply(wanted_routes({V4: "pulse0"}))

    with inside(host):
        netlink = Netlink()
    with netlink:
        routes = netlink.routes()
    assert [each.interface for each in routes if each.table == TABLE] == ["pulse0"]


def test_a_rule_of_somebody_else_in_the_place_of_ours_is_none_of_ours(host: str, kernel: PolicyRouting) -> None:
    ip(host, "rule", "add", "priority", "18101", "lookup", "main")
    assert (kernel.rules(), kernel.strange_rules()) == (set(), [18101])

    kernel.apply(wanted_routes({V4: "pulse0"}))
    assert {priority for _, priority in kernel.rules()} == {18100, 18101}
    ip(host, "rule", "del", "priority", "18101", "lookup", "main")
    assert kernel.strange_rules() == []
    assert way(host, PUBLIC) == "pulse0"
