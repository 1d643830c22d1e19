"""Firewall: what nft says of a ruleset, real rules in a namespace, and whether UDP to the port is dropped by it."""

import json
import subprocess
from collections.abc import Iterator
from typing import Any

import pytest

from pulse.core.firewall import DEEPEST, dropping
from tests.namespace import namespace

RULESET = """flush ruleset
table inet f {{
    chain shut {{
        udp dport 8443 drop
    }}
    chain open {{
        udp dport 8443 accept
    }}
    chain in {{
        type filter hook input priority 0; policy {policy};
        {rules}
    }}
}}
"""

DROPPED = [
    ("accept", "udp dport 8443 drop"),
    ("accept", "meta l4proto udp drop"),
    ("accept", "meta l4proto udp reject"),
    ("accept", "udp dport 8000-9000 drop"),
    ("accept", "udp dport { 53, 8443 } drop"),
    ("accept", "udp dport != 53 drop"),
    ("accept", "tcp dport 8443 accept; meta l4proto udp drop"),
    ("accept", "jump shut"),
    ("accept", "iifname != \"lo\" drop"),
    ("drop", "ct state established,related accept; iifname \"lo\" accept; tcp dport 22 accept"),
    ("drop", "udp dport 53 accept"),
    ("drop", ""),
]  # fmt: skip
PASSED = [
    ("accept", ""),
    ("accept", "udp dport 53 drop"),
    ("accept", "tcp dport 8443 drop"),
    ("accept", "udp dport 8443 accept; meta l4proto udp drop"),
    ("accept", "ip saddr 192.0.2.1 drop"),
    ("drop", "udp dport 8443 accept"),
    ("drop", "ct state established accept; udp dport { 53, 8443 } accept"),
    ("drop", "iifname \"eth0\" accept"),
    ("drop", "jump open"),
    ("accept", "iifname != \"pulse0\" accept; ct state established accept; drop"),
    ("accept", "ip saddr 192.0.2.0/24 jump open; meta l4proto udp drop"),
]  # fmt: skip


@pytest.fixture(scope="module")
def netns() -> Iterator[str]:
    with namespace() as name:
        yield name


def ruleset(netns: str, policy: str, rules: str) -> Any:
    """What nft says once it has these rules."""
    text = RULESET.format(policy=policy, rules=rules.replace("; ", "\n"))
    run = ["ip", "netns", "exec", netns, "nft"]
    subprocess.run([*run, "-f", "-"], input=text, text=True, check=True, capture_output=True)
    return json.loads(subprocess.run([*run, "-j", "list", "ruleset"], check=True, capture_output=True).stdout)


@pytest.mark.parametrize(("policy", "rules"), DROPPED)
def test_what_drops_it_is_named_by_table_and_chain(netns: str, policy: str, rules: str) -> None:
    found = dropping(ruleset(netns, policy, rules), 8443)

    assert len(found) == 1
    assert "table inet f, chain" in found[0]


@pytest.mark.parametrize(("policy", "rules"), PASSED)
def test_what_may_pass_is_not_called_dropped(netns: str, policy: str, rules: str) -> None:
    assert dropping(ruleset(netns, policy, rules), 8443) == []


def test_chains_that_jump_in_a_circle_end() -> None:
    chain = {"family": "inet", "table": "f", "name": "a", "hook": "input", "type": "filter", "policy": "drop"}
    rule = {"family": "inet", "table": "f", "chain": "a", "expr": [{"jump": {"target": "a"}}]}

    assert DEEPEST < 20
    assert dropping({"nftables": [{"chain": chain}, {"rule": rule}]}, 8443) == []


@pytest.mark.parametrize("odd", [None, [], {}, {"nftables": [1, {"metainfo": {}}]}])
def test_what_is_no_ruleset_drops_nothing(odd: object) -> None:
    assert dropping(odd, 8443) == []
