"""Who else on this machine sends on what comes from elsewhere: who has rules that let it leave under another sender.

Docker, libvirt, LXD and home routers all have such rules, and rely on a kernel that forwards. Invariant: an exit's own
rules are never among them; iptables of the old kind counts as soon as its NAT is there, for its rules cannot be seen.
"""

import struct
from collections.abc import Iterator, Mapping
from contextlib import closing
from pathlib import Path
from typing import Final

from pulse.net.exitrules import TABLE
from pulse.net.nftables import FoundRule, Nftables
from pulse.net.nlattr import attributes_in

_FAMILIES: Final = {1: ("inet", (4, 6)), 2: ("ip", (4,)), 10: ("ip6", (6,))}
_TARGETS: Final = frozenset({"MASQUERADE", "SNAT"})
_SOURCE: Final = struct.pack(">I", 0)
"""NFT_NAT_SNAT."""
_NET: Final = Path("/proc/thread-self/net")
_OLD: Final[Mapping[int, str]] = {4: "ip_tables_names", 6: "ip6_tables_names"}


def forwarders() -> dict[int, str]:
    """By IP version the place of such a rule, as a person finds it. Raises SystemRefused."""
    found = {version: "table nat of iptables-legacy" for version in _OLD if _has_old(version)}
    with closing(Nftables(TABLE)) as kernel:
        for rule in kernel.rules():
            for version, place in _places(rule):
                found.setdefault(version, place)
    return found


def _places(rule: FoundRule) -> Iterator[tuple[int, str]]:
    family, versions = _FAMILIES.get(rule.family, ("", ()))
    if (family, rule.table) != ("inet", TABLE) and any(_changes_sender(*each) for each in rule.expressions):
        for version in versions:
            yield version, f"table {family} {rule.table}, chain {rule.chain}"


def _changes_sender(name: str, data: bytes) -> bool:
    said = attributes_in(data, 0)
    if name == "target":
        return said.get(1, b"").rstrip(b"\0").decode(errors="replace") in _TARGETS
    return name == "masq" or (name == "nat" and said.get(1) == _SOURCE)


def _has_old(version: int) -> bool:
    try:
        return "nat" in (_NET / _OLD[version]).read_text("ascii").split()
    except OSError:
        return False
