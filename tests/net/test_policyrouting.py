"""Our table and its rules, with `ip` as the oracle."""

from collections.abc import Iterator
from ipaddress import ip_network

import pytest

from pulse.errors import Conflict, SystemRefused
from pulse.net import sysctl
from pulse.net.netlink import Netlink, NoInterface
from pulse.net.policyrouting import BY_DEVICE, REFUSED, PolicyRouting, TableRoute, wanted_routes
from pulse.net.policyrules import MARK, PLACES, TABLE
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


def test_a_route_that_cannot_be_had_keeps_no_other_and_no_rule_away(host: str, kernel: PolicyRouting) -> None:
    with inside(host):
        sysctl.write("net/ipv6/conf/pulse0/disable_ipv6", "1")
    with pytest.raises(SystemRefused, match="cannot lead ::/0 through pulse0"):
        kernel.apply(wanted_routes({V6: "pulse0", V4: "pulse0"}))
    assert (way(host, PUBLIC), way(host, "2001:db8::1")) == ("pulse0", "unreachable")

    with pytest.raises(NoInterface):
        kernel.apply(wanted_routes({V4: "pulse9"}))
    assert way(host, PUBLIC) == "unreachable"


def test_nothing_is_left_and_routes_of_others_stay(host: str, kernel: PolicyRouting) -> None:
    before = ip(host, "rule"), ip(host, "-6", "rule"), ip(host, "route")
    ip(host, "route", "add", "10.9.0.0/16", "dev", "e0", "table", "99")
    kernel.apply(wanted_routes({V4: "pulse0", LAN: "pulse0"}))
    assert priorities(host) == priorities(host, "-6") == [18100, 18101]

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


def priorities(host: str, *family: str) -> list[int]:
    """Of our rules, in the order in which they are asked."""
    return [each["priority"] for each in ip_json(host, *family, "rule") if each.get("protocol") == "112"]


LOOKUP_MAIN = ("lookup", "main")
ALIKE = ("not", "fwmark", f"{MARK:#x}/0xffffffff", "lookup", str(TABLE), "protocol", "112")
"""What our second rule says."""


@pytest.mark.parametrize("priority", [18100, 18101])
def test_a_rule_of_somebody_else_in_our_place_is_asked_after_ours(
    host: str, kernel: PolicyRouting, priority: int
) -> None:
    for family in ("-4", "-6"):
        ip(host, family, "rule", "add", "priority", str(priority), *LOOKUP_MAIN)
    kernel.apply(wanted_routes({V4: "pulse0"}))
    assert way(host, PUBLIC) == "pulse0"
    assert priorities(host) == priorities(host, "-6") == [18098, 18099]

    assert not kernel.apply(wanted_routes({V4: "pulse0"}))
    kernel.apply(())
    assert priorities(host) == priorities(host, "-6") == []
    assert f"{priority}:\tfrom all lookup main" in ip(host, "rule")


@pytest.mark.parametrize("priority", [18100, 18101])
def test_a_rule_that_comes_between_ours_or_after_changes_nothing(
    host: str, kernel: PolicyRouting, priority: int
) -> None:
    kernel.apply(wanted_routes({V4: "pulse0"}))
    ip(host, "rule", "add", "priority", str(priority), *LOOKUP_MAIN)

    assert kernel.apply(wanted_routes({V4: "pulse0"})) is (priority == 18100)
    assert way(host, PUBLIC) == "pulse0"
    assert len(priorities(host)) == 2


@pytest.mark.parametrize(
    "said",
    [
        ("fwmark", f"{MARK:#x}/0xffffffff", "lookup", str(TABLE), "protocol", "112"),
        ("not", "fwmark", f"{MARK:#x}/0xfffffff", "lookup", str(TABLE), "protocol", "112"),
        ("not", "fwmark", f"{MARK:#x}/0xffffffff", "blackhole", "protocol", "112"),
        (*ALIKE[:-2], "suppress_prefixlength", "0", "protocol", "112"),
        (*ALIKE[:-1], "3"),
        *(("from", "all", *more, *ALIKE) for more in (
            ("to", "192.0.2.0/24"), ("dev", "e0"), ("oif", "e0"), ("ipproto", "tcp"), ("sport", "53"), ("dport", "53"),
            ("uidrange", "5-6"), ("tos", "0x10"),
        )),
        ("from", "192.0.2.0/24", *ALIKE),
    ],
)  # fmt: skip
def test_a_rule_that_says_anything_else_is_none_of_ours(
    host: str, kernel: PolicyRouting, said: tuple[str, ...]
) -> None:
    ip(host, "rule", "add", "priority", "18101", *said)
    kernel.apply(wanted_routes({V4: "pulse0"}))

    assert way(host, PUBLIC) == "pulse0"
    assert len(priorities(host)) == 2 + ("112" in said)
    kernel.apply(())
    assert [each["priority"] for each in ip_json(host, "rule")] == [0, 18101, 32766, 32767]


def test_where_others_have_every_place_ours_are_there_and_it_is_told(host: str, kernel: PolicyRouting) -> None:
    for place in PLACES:
        ip(host, "rule", "add", "priority", str(place), *LOOKUP_MAIN)
    with pytest.raises(Conflict, match="ip rule del priority 18100"):
        kernel.apply(wanted_routes({V4: "pulse0"}))
    assert priorities(host) == [18100, 18101]

    ip(host, "rule", "del", "priority", "18086", *LOOKUP_MAIN)
    assert kernel.apply(wanted_routes({V4: "pulse0"}))
    assert priorities(host) == [18086, 18087]
    assert way(host, PUBLIC) == "pulse0"


@pytest.mark.parametrize("missing", [18100, 18101])
def test_a_rule_that_somebody_deleted_is_put_back(host: str, kernel: PolicyRouting, missing: int) -> None:
    kernel.apply(wanted_routes({V4: "pulse0"}))
    ip(host, "rule", "del", "priority", str(missing))

    assert kernel.apply(wanted_routes({V4: "pulse0"}))
    assert priorities(host) == [18100, 18101]
    assert way(host, PUBLIC) == "pulse0"


@pytest.mark.parametrize("more", [("metric", "1"), ("metric", "0"), ("metric", "2147483647")])
def test_a_route_of_somebody_else_in_our_table_does_not_stay(
    host: str, kernel: PolicyRouting, more: tuple[str, ...]
) -> None:
    for prefix in ("default", "203.0.113.0/24"):
        ip(host, "route", "add", prefix, "via", "198.18.1.9", "table", str(TABLE), *more)
    ip(host, "route", "add", "throw", "198.51.100.0/24", "table", str(TABLE), *more)
    kernel.apply(wanted_routes({V4: "pulse0"}))

    assert way(host, PUBLIC) == way(host, "198.51.100.9") == "pulse0"
    assert not kernel.apply(wanted_routes({V4: "pulse0"}))
