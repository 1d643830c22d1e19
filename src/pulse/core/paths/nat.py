"""What kind of NAT a node is behind, as far as those who see it can tell (RFC 4787 §4.1).

Invariant: of one observer alone nothing is concluded but that there is a NAT.
"""

from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass
from enum import StrEnum

from pulse.core.addresses import is_ip, split


class Mapping(StrEnum):
    """How a NAT chooses the outer port."""

    UNKNOWN = "unknown"
    NONE = "none"
    """Others see an address of ours: there is no NAT."""
    CONE = "cone"
    """The same for whoever is sent to (endpoint-independent): holes can be punched."""
    SYMMETRIC = "symmetric"
    """Another one for each (address-dependent): nobody can be told where to send to."""


@dataclass(frozen=True, slots=True)
class Nat:
    """The NAT before a node, and how many saw it through that."""

    mapping: Mapping = Mapping.UNKNOWN
    observers: int = 0


def judge(seen: Collection[str], ours: Collection[str]) -> Nat:
    """The NAT between `ours`, the addresses of this machine, and `seen`, where each neighbour sees it (IPv4 alone)."""
    told = [each for each in seen if is_v4(each)]
    outer = [each for each in told if each not in ours]
    if not outer:
        return Nat(Mapping.NONE if told else Mapping.UNKNOWN, len(told))
    voices = Counter(outer)
    if max(voices.values()) > 1:
        # One that differs from those who agree says more of itself than of the NAT.
        return Nat(Mapping.CONE, len(outer))
    if len(voices) > 1:
        return Nat(Mapping.SYMMETRIC, len(outer))
    return Nat(Mapping.CONE if len(outer) > 1 else Mapping.UNKNOWN, len(outer))


def is_v4(address: str) -> bool:
    """True for `ip:port` over IPv4."""
    host = split(address)[0]
    return is_ip(host) and ":" not in host
