"""Fragments, ICMP errors and IPv6 extension headers of a member, under rules: what passes is what scapy says may (R9).

Anybody may send UDP to port 53 and TCP to port 443 of the CA; nothing else is allowed.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

import pytest
from scapy.layers.inet import IP
from scapy.layers.inet6 import IPv6, IPv6ExtHdrFragment

from pulse.core.network.policy import Rule
from pulse.lab.lab import Lab
from tests.e2e.mesh import Node, write_rules
from tests.namespace import require_root
from tests.scapy_packets import packets, read
from tests.security.packets import TCP, UDP
from tests.security.rogue import Rogue
from tests.security.scene import TOGETHER, bad_member, drops
from tests.security.session import Session

ALLOWED: Final = {(UDP, 53), (TCP, 443)}
HEADERS: Final = {UDP: 8, TCP: 20}
"""Bytes of a transport header at least: a first fragment that holds less of it leads no other."""
MOST_EXTENSIONS, SEEN = 8, 120
"""As many extension headers hide what is behind them, and so do as many bytes."""


@dataclass(slots=True)
class Reference:
    """Decides by what scapy reads, packet by packet, and remembers which datagrams it let begin."""

    begun: set[tuple[int, ...]] = field(default_factory=set)

    def passes(self, data: bytes) -> bool:
        seen, part = read(data), part_of(data)
        if seen["extensions"] >= MOST_EXTENSIONS or (not seen["hidden"] and seen["before"] + 4 > SEEN):
            return False
        if seen["hidden"]:
            return part in self.begun
        allowed = (seen["proto"], seen["dport"]) in ALLOWED
        if allowed and part and len(data) - seen["before"] >= HEADERS[seen["proto"]]:
            self.begun.add(part)
        return allowed


def part_of(data: bytes) -> tuple[int, ...]:
    """The datagram a packet is a part of; its number is one of its protocol's in IPv4, and one for all in IPv6."""
    if data[0] >> 4 == 4:
        whole = IP(data)
        return (4, whole.proto, whole.id) if whole.frag or whole.flags.MF else ()
    header = IPv6(data).getlayer(IPv6ExtHdrFragment)
    return (6, header.id) if header and (header.m or header.offset) else ()


@pytest.fixture(scope="module")
def session() -> Iterator[tuple[Node, Session]]:
    """The CA under these rules, and the rogue's session with it."""
    require_root()
    with Lab(TOGETHER) as lab:
        ca = Node(lab["a"])
        ca.start("--ca", "--scribe", "--network", "test")
        me = ca.status().node.id
        ca.stop()
        write_rules(
            ca,
            [
                Rule("dns", ["*"], [me], allow=True, protocols=[UDP], ports=[(53, 53)]),
                Rule("web", ["*"], [me], allow=True, protocols=[TCP], ports=[(443, 443)]),
            ],
        )
        ca.start()
        with Rogue(lab["r"], bad_member(ca)) as rogue:
            made = Session([rogue.dials(ca)])
            made.waits_up()
            yield ca, made
        assert " ERROR " not in ca.log


def test_what_passes_is_what_scapy_says_may(session: tuple[Node, Session]) -> None:
    ca, made = session
    four, six = made.link.shows.addresses
    sent = [data for _, data in packets({"src": four, "dst": ca.v4}, {"src": six, "dst": ca.v6})]
    reference = Reference()
    denied = [data for data in sent if not reference.passes(data)]
    assert 20 < len(denied) < len(sent) - 20

    with drops(ca, policy_denied=len(denied)):
        for data in sent:
            made.sends(data)
