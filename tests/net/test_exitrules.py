"""The firewall of an exit, as `nft` reads it."""

import subprocess
from ipaddress import IPv4Network, IPv6Network, ip_network

from pulse.net.exitrules import Mesh, Range, Site, chains
from pulse.net.nftables import Nftables
from pulse.net.policyrules import MARK
from tests.namespace import inside, namespace

MESH = Mesh(
    "pulse0",
    IPv4Network("10.100.0.0/16"),
    IPv6Network("fd7a::/48"),
    (ip_network("10.100.0.1/32"), ip_network("fd7a::1/128")),
)


FAR = Site()
"""It forwards for others, too, and is in no network of the Internet."""


def ruleset(*ranges: tuple[str, str], site: Site = FAR) -> list[str]:
    """The lines of the table for these ranges."""
    with namespace() as name:
        with inside(name):
            table = Nftables("pulse")
        table.replace(chains(MESH, [Range(ip_network(one), ip_network(other)) for one, other in ranges], site))
        table.close()
        done = subprocess.run(["ip", "netns", "exec", name, "nft", "list", "ruleset"], check=True, capture_output=True)
    return [line.strip() for line in done.stdout.decode().splitlines()]


def test_the_whole_internet_is_the_public_one_and_no_address_of_the_exit() -> None:
    rules = ruleset(("0.0.0.0/0", "0.0.0.0/0"))

    allowed = rules.index("meta nfproto ipv4 accept")
    for closed in (
        "fib daddr type local drop",
        "ip daddr 10.0.0.0/8 drop",
        "ip daddr 192.168.0.0/16 drop",
        "ip daddr 100.64.0.0/10 drop",
        "ip daddr 169.254.0.0/16 drop",
        "ip6 daddr fd00:ec2::254 drop",
        "ip saddr != 10.100.0.0/16 drop",
    ):
        assert rules.index(closed) < allowed, closed
    assert rules[allowed + 1] == "drop"
    assert 'ip saddr 10.100.0.0/16 meta nfproto ipv4 oifname != "pulse0" masquerade' in rules


def test_a_range_of_its_own_goes_before_what_is_private_and_after_what_never_passes() -> None:
    rules = ruleset(("192.168.7.0/24", "192.168.7.0/24"), ("0.0.0.0/0", "0.0.0.0/0"))

    own = rules.index("ip daddr 192.168.7.0/24 accept")
    assert rules.index("ip daddr 169.254.0.0/16 drop") < own < rules.index("fib daddr type local drop")


def test_only_the_mapped_range_is_open_and_leads_to_the_other_one() -> None:
    rules = ruleset(("10.7.7.0/24", "192.168.7.0/24"))

    assert 'iifname "pulse0" ip daddr 10.7.7.0/24 dnat ip prefix to 192.168.7.0/24' in rules
    assert "ip daddr 10.7.7.0/24 accept" in rules
    assert "ip daddr 192.168.7.0/24 accept" not in rules
    assert "meta nfproto ipv4 accept" not in rules


def test_nobody_behind_the_exit_begins_anything_and_no_chain_is_called_fwd() -> None:
    rules = ruleset(("fd18:9::/64", "fd18:9::/64"))

    passing = rules.index('oifname "pulse0" ct state established,related accept')
    assert rules[passing + 1] == 'oifname "pulse0" drop'
    assert not any("fwd" in line for line in rules)


def test_what_is_never_reached_is_not_by_another_address_either() -> None:
    rules = ruleset(("10.254.0.0/15", "169.254.0.0/15"), ("172.16.0.0/12", "10.96.0.0/12"))

    for closed, allowed in (("10.254.0.0/16", "10.254.0.0/15"), ("172.20.0.0/16", "172.16.0.0/12")):
        assert rules.index(f"ip daddr {closed} drop") < rules.index(f"ip daddr {allowed} accept")


def test_an_ipv4_address_inside_an_ipv6_one_is_not_reached_by_packets_either() -> None:
    rules = ruleset(("64:ff9b::/96", "64:ff9b::/96"), ("::/0", "::/0"))

    for closed, allowed in (
        ("64:ff9b::/96", "ip6 daddr 64:ff9b::/96 accept"),
        ("2002::/16", "meta nfproto ipv6 accept"),
    ):
        assert rules.index(f"ip6 daddr {closed} drop") < rules.index(allowed)


def test_what_goes_out_here_goes_by_the_routes_of_this_host() -> None:
    rules = ruleset(("192.168.7.0/24", "192.168.7.0/24"))

    marked = rules.index(f"meta mark set {MARK:#010x}")
    assert rules.index("ip daddr 10.100.0.1 accept") < marked < rules.index("ip daddr 192.168.7.0/24 accept")


def test_a_network_the_exit_is_in_is_closed_unless_it_is_a_range_of_its_own() -> None:
    near = Site(connected=(ip_network("203.0.113.0/24"), ip_network("2001:db8:7::/64")))
    rules = ruleset(("2001:db8:7::/64", "2001:db8:7::/64"), ("::/0", "::/0"), site=near)

    own, closed, allowed = (
        rules.index(line)
        for line in (
            "ip6 daddr 2001:db8:7::/64 accept",
            "ip6 daddr 2001:db8:7::/64 drop",
            "meta nfproto ipv6 accept",
        )
    )
    assert own < closed < allowed
    assert "ip daddr 203.0.113.0/24 drop" in rules
    assert "ip daddr 203.0.113.0/24 drop" not in ruleset(("192.168.7.0/24", "192.168.7.0/24"), site=near)


def test_what_is_not_of_the_mesh_passes_only_where_it_passed_before() -> None:
    stranger = 'meta nfproto ipv4 iifname != "pulse0" oifname != "pulse0" drop'
    assert stranger in ruleset(("0.0.0.0/0", "0.0.0.0/0"), site=Site(mesh_only=frozenset({4})))
    assert not any("iifname !=" in line and "drop" in line for line in ruleset(("0.0.0.0/0", "0.0.0.0/0")))
