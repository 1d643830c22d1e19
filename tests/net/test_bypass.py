"""Routes that lead past an exit are told as `ip route` takes them; the host's own networks are none."""

import pytest

from pulse.net.bypass import bypasses
from tests.namespace import inside, ip, namespace

PAST = {
    "half of the Internet": ("0.0.0.0/1 via 198.18.1.9 dev e0", "0.0.0.0/1 via 198.18.1.9 dev e0"),
    "a narrow one": ("203.0.113.9/32 via 198.18.1.9 dev e0 proto dhcp metric 7",
                     "203.0.113.9/32 via 198.18.1.9 dev e0 metric 7"),
    "without a gateway": ("203.0.113.0/24 dev e0", "203.0.113.0/24 dev e0"),
    "around a private one": ("8.0.0.0/6 via 198.18.1.9", "8.0.0.0/6 via 198.18.1.9 dev e0"),
    "IPv6": ("2000::/3 via fe80::9 dev e0 proto ra", "2000::/3 via fe80::9 dev e0 metric 1024"),
    "all of IPv6 in halves": ("::/1 via fe80::9 dev e0", "::/1 via fe80::9 dev e0 metric 1024"),
}  # fmt: skip
FINE = {
    "the default one": "default via 198.18.1.9",
    "a private one": "10.0.0.0/8 via 198.18.1.9",
    "a ULA": "fd00::/8 via fe80::9 dev e0",
    "one that a person wrote": "203.0.113.0/24 via 198.18.1.9 proto static",
    "one that refuses": "unreachable 203.0.114.0/24",
    "through our device": "203.0.115.0/24 dev pulse0",
    "of another table": "203.0.113.0/24 via 198.18.1.9 table 99",
}


def found_beside(*routes: str, address: str = "198.18.1.1/24") -> tuple[str, ...]:
    """On a host with that address, and one of IPv6."""
    with namespace() as name:
        ip(name, "tuntap", "add", "pulse0", "mode", "tun")
        ip(name, "link", "add", "e0", "type", "veth", "peer", "name", "e1")
        for device in ("pulse0", "e0", "e1"):
            ip(name, "link", "set", device, "up")
        for each in (address, "2001:db8:7::1/64"):
            ip(name, "address", "add", each, "dev", "e0", "nodad")
        for route in routes:
            ip(name, "-6" if ":" in route else "-4", "route", "add", *route.split())
        with inside(name):
            return bypasses(("pulse0",))


def test_what_says_more_than_the_default_route_is_told_and_how_to_take_it_away() -> None:
    assert sorted(found_beside(*(route for route, _ in PAST.values()))) == sorted(told for _, told in PAST.values())


def test_the_hosts_own_networks_and_what_leads_nowhere_public_are_fine() -> None:
    assert found_beside(*FINE.values()) == ()


@pytest.mark.parametrize(("address", "told"), [("198.18.1.1/16", ()), ("198.18.1.1/2", ("192.0.0.0/2 dev e0",))])
def test_a_network_that_is_too_wide_to_be_one_is_told(address: str, told: tuple[str, ...]) -> None:
    assert found_beside(address=address) == told


def test_what_is_told_can_be_taken_away_or_be_called_static() -> None:
    with namespace() as name, inside(name):
        ip(name, "link", "add", "e0", "type", "veth", "peer", "name", "e1")
        for device in ("e0", "e1"):
            ip(name, "link", "set", device, "up")
        ip(name, "address", "add", "198.18.1.1/24", "dev", "e0")
        for route in (
            "128.0.0.0/1 via 198.18.1.9 metric 7",
            "128.0.0.0/1 via 198.18.1.9",
            "2000::/3 via fe80::9 dev e0",
        ):
            ip(name, "route", "add", *route.split())
        first, second, third = bypasses()

        ip(name, "route", "del", *first.split())
        ip(name, "route", "change", *second.split(), "proto", "static")
        assert bypasses() == (third,)
        ip(name, "route", "change", *third.split(), "proto", "static")
        assert bypasses() == ()
