"""Which nodes have their mesh addresses in a range: whom a `cidr:` pattern fits.

Invariant: a range is looked up among ordered addresses, so a thousand of them cost no thousand looks at every node.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address

from pulse.core.cidr import range_of

Place = tuple[int, str]
"""An address as a number, and the handle of the node that has it."""


@dataclass(frozen=True, slots=True)
class Located:
    """Nodes by their mesh addresses."""

    v4: Sequence[Place]
    v6: Sequence[Place]

    @classmethod
    def of(cls, addresses: Iterable[tuple[str, str]]) -> "Located":
        """Of nodes by handle and IPv6 address, which may be unknown (empty)."""
        known = tuple(addresses)
        return cls(
            sorted((int(IPv4Address(handle)), handle) for handle, _ in known),
            sorted((int(IPv6Address(v6)), handle) for handle, v6 in known if v6),
        )

    def within(self, text: str) -> frozenset[str]:
        """The handles of those in the range; nobody for what is none."""
        found = range_of(text)
        if found is None:
            return frozenset()
        places = self.v4 if found.version == 4 else self.v6
        low, high = int(found.network_address), int(found.broadcast_address)
        first, last = bisect_left(places, (low, "")), bisect_right(places, (high + 1, ""))
        return frozenset(handle for _, handle in places[first:last])
