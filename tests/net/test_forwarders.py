"""Who else lets packets leave under another sender, as nft wrote it."""

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from pulse.net import forwarders as module
from pulse.net.forwarders import forwarders
from tests.namespace import inside, namespace

POST = "type nat hook postrouting priority 100;"


@pytest.fixture
def host() -> Iterator[str]:
    with namespace() as name, inside(name):
        yield name


def has(host: str, table: str, chain: str) -> None:
    """Somebody's table has this chain."""
    text = f"table {table} {{\n{chain}\n}}\n".encode()
    subprocess.run(["ip", "netns", "exec", host, "nft", "-f", "-"], input=text, check=True)


def test_rules_that_change_the_sender_are_found_by_version(host: str) -> None:
    assert forwarders() == {}
    has(host, "ip nat", f"chain POST {{ {POST} ip saddr 172.17.0.0/16 masquerade\n}}")
    assert forwarders() == {4: "table ip nat, chain POST"}

    has(host, "inet router", f"chain out {{ {POST} ip6 saddr fd00::/8 snat ip6 to fd01::1\n}}")
    assert forwarders() == {4: "table ip nat, chain POST", 6: "table inet router, chain out"}


def test_other_rules_are_none_of_those_and_ours_are_not_either(host: str) -> None:
    has(host, "inet pulse", f"chain leaving {{ {POST} masquerade\n}}")
    has(host, "ip nat", "chain PRE { type nat hook prerouting priority -100; tcp dport 80 dnat to 10.0.0.1\n}")
    has(host, "inet filter", "chain forward { type filter hook forward priority 0; policy drop; }")
    assert forwarders() == {}


def test_nat_of_iptables_of_the_old_kind_counts_though_its_rules_are_not_seen(
    host: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_NET", tmp_path)
    (tmp_path / "ip_tables_names").write_text("filter\nnat\n")
    (tmp_path / "ip6_tables_names").write_text("filter\n")
    assert forwarders() == {4: "table nat of iptables-legacy"}

    has(host, "ip nat", f"chain POST {{ {POST} masquerade\n}}")
    assert forwarders() == {4: "table nat of iptables-legacy"}


def test_what_iptables_wrote_is_found_too(host: str) -> None:
    rule = ["-s", "172.17.0.0/16", "!", "-o", "docker0", "-j", "MASQUERADE"]
    subprocess.run(["iptables-nft", "-t", "nat", "-A", "POSTROUTING", *rule], check=True)
    assert forwarders() == {4: "table ip nat, chain POSTROUTING"}
