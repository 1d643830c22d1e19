"""Advertised addresses: what a person said, else what neighbours and the machine itself see."""

from ipaddress import IPv4Address, IPv6Address

import pytest

from pulse.core.trust.invites import ADDRESSES_LIMIT
from pulse.net import advertised as module
from pulse.net.advertised import advertised
from tests.namespace import inside, ip, namespace


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine with one address of each family."""
    found = [IPv4Address("192.0.2.2"), IPv6Address("2001:db8::2")]
    monkeypatch.setattr(module, "host_addresses", lambda _: found)


@pytest.mark.usefixtures("machine")
@pytest.mark.parametrize(("host", "told"), [("relay.example.com", "relay.example.com:443"), ("::1", "[::1]:443")])
def test_a_configured_host_is_told_alone(host: str, told: str) -> None:
    assert advertised(host, 443, ["198.51.100.4:61000"]) == (told,)


@pytest.mark.usefixtures("machine")
def test_where_neighbours_see_us_goes_before_our_interfaces() -> None:
    assert advertised("", 443, ["198.51.100.4:61000"]) == (
        "198.51.100.4:61000",
        "192.0.2.2:443",
        "[2001:db8::2]:443",
    )


@pytest.mark.usefixtures("machine")
def test_an_address_seen_twice_is_told_once() -> None:
    assert advertised("", 443, ["192.0.2.2:443"]) == ("192.0.2.2:443", "[2001:db8::2]:443")


@pytest.mark.usefixtures("machine")
def test_no_more_are_told_than_an_invite_holds() -> None:
    seen = [f"198.51.100.{number}:443" for number in range(20)]

    assert advertised("", 443, seen) == tuple(seen[:ADDRESSES_LIMIT])


def test_the_meshs_own_device_is_not_told() -> None:
    with namespace() as name:
        ip(name, "link", "add", "wan", "type", "veth", "peer", "name", "pulse0")
        for device, address in (("wan", "192.0.2.2/24"), ("pulse0", "10.100.0.1/16")):
            ip(name, "address", "add", address, "dev", device)
            ip(name, "link", "set", device, "up")
        with inside(name):
            assert advertised("", 443, [], ["pulse0"]) == ("192.0.2.2:443",)
            assert set(advertised("", 443, [])) == {"192.0.2.2:443", "10.100.0.1:443"}
