"""A NAT of the underlay: which outer port a socket inside gets, and whose packets are let in there (RFC 4787).

Invariant: nothing comes in but through a mapping that a packet from inside made, and that lives.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import IntEnum
from itertools import count

FIRST_PORT = 50_000
"""Outer ports count up from here and never come again: nobody can rely on one that is gone."""


class Depends(IntEnum):
    """On what of the far end a mapping depends (RFC 4787 §4.1), or the right to come in by it (§5); strictest last."""

    NOTHING = 0
    ADDRESS = 1
    PORT = 2

    def part(self, remote: str) -> str:
        """What counts of a far end, `ip:port`."""
        return ("", remote.rpartition(":")[0], remote)[self]


@dataclass(frozen=True, slots=True)
class Kind:
    """How a NAT behaves."""

    mapping: Depends
    filtering: Depends
    hairpin: bool = True
    """Who is behind it reaches others there by their outer addresses (§6)."""
    expiry: float = 30.0
    """Seconds a mapping, and a right to come in, outlives the last packet from inside (§4.3)."""


FULL_CONE = Kind(Depends.NOTHING, Depends.NOTHING)
ADDRESS_RESTRICTED = Kind(Depends.NOTHING, Depends.ADDRESS)
PORT_RESTRICTED = Kind(Depends.NOTHING, Depends.PORT)
SYMMETRIC = Kind(Depends.PORT, Depends.PORT)


@dataclass(slots=True)
class _Mapping:
    inside: str
    key: tuple[str, str]
    """What it is found by from inside."""
    sent: dict[str, float] = field(default_factory=dict)
    """When a packet left last for whom, as far as filtering tells them apart."""
    last: float = 0.0


class Nat:
    """One router; addresses are `ip:port`, but for its own, outer one, which is an IP."""

    def __init__(self, kind: Kind, address: str) -> None:
        self.kind = kind
        self.address = address
        self._by_inside: dict[tuple[str, str], str] = {}
        """Outer address of a socket inside and the part of the far end that counts."""
        self._by_outer: dict[str, _Mapping] = {}
        self._ports = count(FIRST_PORT)

    def leaves(self, inside: str, remote: str, now: float) -> str:
        """A packet leaves for `remote`; where it seems to come from, outside."""
        key = inside, self.kind.mapping.part(remote)
        outer = self._by_inside.get(key)
        if outer is None or self._is_over(self._by_outer[outer], now):
            outer = self._map(key, now)
        mapping = self._by_outer[outer]
        mapping.last = mapping.sent[self.kind.filtering.part(remote)] = now
        return outer

    def behind(self, outer: str, now: float) -> str | None:
        """Whose mapping an outer address is."""
        mapping = self._by_outer.get(outer)
        return None if mapping is None or self._is_over(mapping, now) else mapping.inside

    def admits(self, outer: str, remote: str, now: float) -> bool:
        """True if a packet from `remote` to an outer address is let in."""
        if self.behind(outer, now) is None:
            return False
        sent = self._by_outer[outer].sent.get(self.kind.filtering.part(remote))
        return sent is not None and now - sent < self.kind.expiry

    def forget(self) -> None:
        """Start anew, as after a power cut."""
        self._by_inside.clear()
        self._by_outer.clear()

    def _map(self, key: tuple[str, str], now: float) -> str:
        for over in [*self._expired(now)]:
            del self._by_inside[self._by_outer.pop(over).key]
        outer = f"{self.address}:{next(self._ports)}"
        self._by_inside[key] = outer
        self._by_outer[outer] = _Mapping(key[0], key)
        return outer

    def _expired(self, now: float) -> Iterator[str]:
        return (outer for outer, mapping in self._by_outer.items() if self._is_over(mapping, now))

    def _is_over(self, mapping: _Mapping, now: float) -> bool:
        return now - mapping.last >= self.kind.expiry
