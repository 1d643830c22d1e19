"""Destinations: what a node dials for others, and what it never does."""

from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network

import pytest

from pulse.core.network.destinations import Destination, Premises, judge, parse_destination
from pulse.errors import ConfigError

OWN = frozenset(map(ip_address, ("192.168.1.2", "10.100.0.1", "127.0.0.1", "::1", "fe80::2", "2001:db8::2")))
HERE = Premises(OWN, frozenset({7000, 8443}), lambda address: address in ip_network("192.0.2.0/24"))


@pytest.mark.parametrize(
    ("text", "destination"),
    [
        ("localhost:22", Destination("localhost", 22)),
        (":5432", Destination("localhost", 5432)),
        ("[::1]:80", Destination("::1", 80)),
        ("db.example.com:1", Destination("db.example.com", 1)),
    ],
)
def test_a_destination_is_a_host_and_a_port(text: str, destination: Destination) -> None:
    assert parse_destination(text) == destination
    assert parse_destination(str(destination)) == destination


@pytest.mark.parametrize(
    "text", ["", "localhost", "localhost:0", "a b:1", "::1:80", "x" * 256 + ":1", "a:65536", "\x1b:1"]
)
def test_anything_else_is_named_an_error_with_an_example(text: str) -> None:
    with pytest.raises(ConfigError, match="Write host:port, such as localhost:22"):
        parse_destination(text)


@pytest.mark.parametrize("address", ["192.168.1.2", "10.100.0.1", "2001:db8::2", "192.0.2.9"])
def test_its_own_addresses_and_what_was_approved_for_it_are_dialled(address: str) -> None:
    assert judge(ip_address(address), 22, HERE, loopback=False) is None


@pytest.mark.parametrize("address", ["127.0.0.1", "127.8.8.8", "::1"])
def test_loopback_is_dialled_only_where_it_may_be(address: str) -> None:
    assert judge(ip_address(address), 22, HERE, loopback=True) is None
    assert judge(ip_address(address), 22, HERE, loopback=False) == "loopback"


@pytest.mark.parametrize("address", ["192.168.1.3", "8.8.8.8", "10.100.0.2", "fd00::1", "2606:4700::1"])
def test_what_lies_behind_it_is_not_dialled_unless_approved(address: str) -> None:
    assert judge(ip_address(address), 22, HERE, loopback=True) == "not this node, and not approved for it"


@pytest.mark.parametrize(
    "address",
    [
        "169.254.169.254", "169.254.1.1", "fe80::1", "fd00:ec2::254", "fd20:ce::254", "100.100.100.200", "0.0.0.0",  # noqa: S104
        "0.1.2.3", "::", "::ffff:127.0.0.1", "::ffff:192.168.1.2", "::127.0.0.1", "64:ff9b::7f00:1", "2002:7f00:1::",
        "2001:0:7f00:1::", "224.0.0.1", "ff02::1", "255.255.255.255", "240.0.0.1",
    ],
)  # fmt: skip
def test_no_approval_opens_what_is_never_dialled(address: str) -> None:
    everywhere = Premises(OWN | {ip_address(address)}, leads_to=lambda _: True)
    assert judge(ip_address(address), 80, everywhere, loopback=True)


@pytest.mark.parametrize("address", ["127.0.0.1", "::1", "192.168.1.2"])
def test_pulses_own_ports_are_closed_to_others(address: str) -> None:
    assert judge(ip_address(address), 7000, HERE, loopback=True) == "a port of pulse itself"
    assert judge(ip_address("192.0.2.9"), 7000, HERE, loopback=True) is None, "another machine's port is its own affair"


def test_an_exit_leads_away_from_the_node() -> None:
    assert judge(ip_address("192.168.1.2"), 22, HERE, loopback=False, itself=False)
    assert judge(ip_address("192.0.2.9"), 22, HERE, loopback=False, itself=False) is None


def test_no_node_lends_another_its_right_to_reach_a_third_one() -> None:
    """Also where it leads to a range that the mesh is in."""
    here = Premises(OWN, leads_to=lambda _: True, mesh=(IPv4Network("10.100.0.0/16"), IPv6Network("fd7a::/48")))
    for third in ("10.100.0.9", "fd7a::9"):
        for kind in (True, False):
            assert judge(ip_address(third), 22, here, loopback=True, itself=kind) == "another node of the mesh"
    assert judge(ip_address("10.99.0.9"), 22, here, loopback=False, itself=False) is None
    assert judge(ip_address("10.100.0.1"), 22, here, loopback=False) is None, "its own"


@pytest.mark.parametrize(("behind", "why"), [("169.254.169.254", "metadata"), ("192.0.2.1", "port of pulse")])
def test_what_a_mapped_address_stands_for_is_judged_too(behind: str, why: str) -> None:
    own = frozenset({ip_address("192.0.2.1")})
    mapped = Premises(own, frozenset({443}), leads_to=lambda _: True, behind=lambda _: ip_address(behind))

    assert why in (judge(ip_address("10.7.7.9"), 443, mapped, loopback=False, itself=False) or "")
