"""The table in the kernel, with `nft` as the oracle."""

import subprocess
from collections.abc import Iterator
from ipaddress import ip_network

import pytest

from pulse.errors import SystemRefused
from pulse.net.nftables import Chain, Hook, Nftables
from pulse.net.nftrules import Rule, accepts, comes_by, drops, is_for, mapped_to
from tests.namespace import inside, namespace

LAN = ip_network("192.168.7.0/24")


def listed(name: str) -> str:
    done = subprocess.run(["ip", "netns", "exec", name, "nft", "list", "ruleset"], check=True, capture_output=True)
    return done.stdout.decode()


@pytest.fixture
def host() -> Iterator[str]:
    with namespace() as name:
        yield name


@pytest.fixture
def table(host: str) -> Iterator[Nftables]:
    with inside(host):
        made = Nftables("pulse")
    yield made
    made.close()


def chain(*rules: Rule) -> Chain:
    return Chain("arriving", "filter", Hook.PREROUTING, -150, rules)


def test_a_table_is_replaced_whole_and_taken_away(host: str, table: Nftables) -> None:
    assert not table.is_there()
    table.remove()
    table.replace([chain([*comes_by("pulse0"), *is_for(LAN), accepts()], [drops()])])
    assert 'iifname "pulse0" ip daddr 192.168.7.0/24 accept' in listed(host)

    table.replace([chain([*is_for(ip_network("fd00::/8"), other=True), drops()])])
    assert ("192.168.7.0" in listed(host), "ip6 daddr != fd00::/8 drop" in listed(host)) == (False, True)
    table.remove()
    assert (table.is_there(), listed(host)) == (False, "")


def test_a_batch_that_the_kernel_refuses_changes_nothing(host: str, table: Nftables) -> None:
    table.replace([chain([drops()])])
    before = listed(host)

    with pytest.raises(SystemRefused, match="nftables table inet pulse"):
        table.replace([chain([accepts()]), Chain("x", "nonsense", Hook.FORWARD, 0, [])])
    assert listed(host) == before
    table.replace([chain([accepts()])])
    assert listed(host) != before


def test_tables_of_others_stay(host: str, table: Nftables) -> None:
    subprocess.run(["ip", "netns", "exec", host, "nft", "add", "table", "inet", "theirs"], check=True)
    table.replace([Chain("mapping", "nat", Hook.PREROUTING, -100, [mapped_to(LAN)])])
    table.remove()

    assert listed(host).split() == ["table", "inet", "theirs", "{", "}"]


def test_whatever_anybody_changes_makes_another_generation(host: str, table: Nftables) -> None:
    table.replace([chain([drops()])])
    before = table.generation()
    assert table.generation() == before

    subprocess.run(["ip", "netns", "exec", host, "nft", "flush", "table", "inet", "pulse"], check=True)
    assert table.generation() != before
