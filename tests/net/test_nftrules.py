"""Each word of a rule, as `nft` reads it back."""

import subprocess
from collections.abc import Iterator
from contextlib import closing
from ipaddress import ip_network

import pytest

from pulse.net.nftables import Chain, Hook, Nftables
from pulse.net.nftrules import (
    Rule,
    accepts,
    comes_by,
    drops,
    is_answer,
    is_for,
    is_for_this_host,
    is_from,
    is_of,
    leaves_by,
    mapped_to,
    marks,
    masquerade,
)
from tests.namespace import inside, namespace

LAN, SITE = ip_network("192.168.7.0/24"), ip_network("fd00:1::/32")

FILTERS: dict[str, Rule] = {
    'iifname "pulse0" accept': [*comes_by("pulse0"), accepts()],
    'iifname != "pulse0" drop': [*comes_by("pulse0", other=True), drops()],
    'oifname "a-name-of-15-by" drop': [*leaves_by("a-name-of-15-by"), drops()],
    'oifname != "pulse0" drop': [*leaves_by("pulse0", other=True), drops()],
    "ip saddr 192.168.7.0/24 accept": [*is_from(LAN), accepts()],
    "ip saddr != 192.168.7.0/24 drop": [*is_from(LAN, other=True), drops()],
    "ip6 saddr fd00:1::/32 accept": [*is_from(SITE), accepts()],
    "ip daddr 192.168.7.0/24 accept": [*is_for(LAN), accepts()],
    "ip6 daddr != fd00:1::/32 drop": [*is_for(SITE, other=True), drops()],
    "meta nfproto ipv4 drop": [*is_of(4), drops()],
    "meta nfproto ipv6 accept": [*is_for(ip_network("::/0")), accepts()],
    "fib daddr type local drop": [*is_for_this_host(), drops()],
    "ct state established,related accept": [*is_answer(), accepts()],
    "meta mark set 0x70756c73": marks(0x70756C73),
}


@pytest.fixture
def host() -> Iterator[str]:
    with namespace() as name:
        yield name


def rules_of(host: str, chain: Chain) -> list[str]:
    """What `nft` lists of a table with this chain alone."""
    with inside(host), closing(Nftables("pulse")) as table:
        table.replace([chain])
    done = subprocess.run(["ip", "netns", "exec", host, "nft", "list", "ruleset"], check=True, capture_output=True)
    return [each.strip() for each in done.stdout.decode().splitlines()[3:-2]]


def test_filters_say_what_they_are_called(host: str) -> None:
    assert rules_of(host, Chain("passing", "filter", Hook.FORWARD, 0, [*FILTERS.values()])) == [*FILTERS]


def test_a_range_is_mapped_one_to_one(host: str) -> None:
    chain = Chain("mapping", "nat", Hook.PREROUTING, -100, [[*is_for(LAN), *mapped_to(ip_network("10.9.8.0/24"))]])

    assert rules_of(host, chain) == ["ip daddr 192.168.7.0/24 dnat ip prefix to 10.9.8.0/24"]


def test_who_leaves_is_given_the_address_of_the_device(host: str) -> None:
    assert rules_of(host, Chain("leaving", "nat", Hook.POSTROUTING, 100, [[masquerade()]])) == ["masquerade"]
