"""Who is in the mesh, as far as this node has seen: verified certificates by node, and how people name them.

Invariant: a certificate gets in only after it was verified, and the newest one of a node stays.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from ipaddress import ip_address
from itertools import islice

from pulse.core.trust.certificates import Certificate
from pulse.core.types import LEAST_PREFIX, SHORT_ID, NodeId
from pulse.errors import Conflict, NotFound

MOST_MEMBERS = 4096
"""Certificates kept; the one that ends first gives way."""

_HEX = frozenset("0123456789abcdef")


@dataclass(slots=True)
class Members:
    """The certificates of the nodes we know, ourselves included."""

    _by_node: dict[NodeId, Certificate] = field(default_factory=dict)

    def certificate_seen(self, certificate: Certificate) -> bool:
        """A verified certificate was shown; True if it changed what we know."""
        known = self._by_node.get(certificate.node_id)
        if known is not None and known.not_before >= certificate.not_before:
            return False
        if known is None and len(self._by_node) >= MOST_MEMBERS:
            others = islice(self._by_node.values(), 1, None)  # the first one met is ourselves
            del self._by_node[min(others, key=lambda each: each.not_after).node_id]
        self._by_node[certificate.node_id] = certificate
        return True

    def node_revoked(self, node: NodeId) -> bool:
        """A node was revoked; True if we knew it."""
        return self._by_node.pop(node, None) is not None

    def get(self, node: NodeId) -> Certificate | None:
        """The newest certificate of a node."""
        return self._by_node.get(node)

    def all(self) -> Iterable[Certificate]:
        """Every certificate, in the order in which the nodes were met."""
        return self._by_node.values()

    def resolve(self, text: str) -> Certificate:
        """The one node that `text` names: a name, a mesh address, or a prefix of its id.

        Raises NotFound, or Conflict if several fit.
        """
        wanted = text.strip().lower().removesuffix(".pulse")
        found = self._named(wanted) or self._at(wanted) or self._starting(wanted)
        if not found:
            raise NotFound(f'no node is called "{text}". See the nodes: pulse status')
        if len(found) > 1:
            matches = ", ".join(f"{label(each)} ({each.node_id[:SHORT_ID]})" for each in found[:8])
            raise Conflict(f'"{text}" fits {len(found)} nodes: {matches}. Type more digits of the id')
        return found[0]

    def _named(self, name: str) -> list[Certificate]:
        return [each for each in self.all() if name in (each.name, each.host)]

    def _at(self, text: str) -> list[Certificate]:
        try:
            address = ip_address(text)
        except ValueError:
            return []
        return [each for each in self.all() if address in (each.addresses.v4, each.addresses.v6)]

    def _starting(self, prefix: str) -> list[Certificate]:
        if len(prefix) < LEAST_PREFIX or not _HEX.issuperset(prefix):
            return []
        return [each for each in self.all() if each.node_id.startswith(prefix)]


def label(certificate: Certificate) -> str:
    """What people call the node: its name, else the one it asked for, else the short id."""
    return certificate.name or certificate.host or certificate.node_id[:SHORT_ID]
