"""Who is in the mesh, as far as this node has seen: verified certificates by node, and how people name them.

What the network config says of a node goes before what its certificate says.
Invariant: a certificate gets in only after it was verified, and the newest one of a node stays.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from ipaddress import ip_address
from itertools import islice

from pulse.core.likeness import meant
from pulse.core.trust.certificates import Certificate
from pulse.core.types import LEAST_PREFIX, RESERVED, SHORT_ID, NodeId
from pulse.errors import Conflict, NotFound

MOST_MEMBERS = 4096
"""Certificates kept; the one that ends first gives way."""

_HEX = frozenset("0123456789abcdef")


@dataclass(frozen=True, slots=True)
class Naming:
    """What the network config calls the nodes; a name has one node at most."""

    names: Mapping[NodeId, str] = field(default_factory=dict)
    tags: Mapping[NodeId, tuple[str, ...]] = field(default_factory=dict)
    """All tags of the nodes that are in it, which may be none; of others those in their certificates count."""
    _holders: dict[str, NodeId] = field(default_factory=dict, init=False, compare=False, repr=False)
    """The same the other way round, once somebody asked: thousands of tags are given without."""

    def holder(self, name: str) -> NodeId | None:
        """The node that bears `name`."""
        if len(self._holders) < len(self.names):
            self._holders.update((name, node) for node, name in self.names.items())
        return self._holders.get(name)


@dataclass(slots=True)
class Members:
    """The certificates of the nodes we know, ourselves included."""

    naming: Callable[[], Naming] = Naming
    """Of the network config in force."""
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

    def count(self) -> int:
        """How many nodes we know, ourselves included."""
        return len(self._by_node)

    def all(self) -> Iterable[Certificate]:
        """Every certificate, in the order in which the nodes were met."""
        return self._by_node.values()

    def label(self, certificate: Certificate) -> str:
        """What people call the node: by the config, else by its certificate unless the config gave that name away."""
        naming = self.naming()
        given = naming.names.get(certificate.node_id)
        if given is not None:
            return given
        own = label(certificate)
        return own if naming.holder(own) is None else certificate.node_id[:SHORT_ID]

    def label_of(self, node: NodeId) -> str:
        """The same for a node we may never have met."""
        certificate = self._by_node.get(node)
        if certificate is not None:
            return self.label(certificate)
        return self.naming().names.get(node, node[:SHORT_ID])

    def named(self, node: NodeId) -> str:
        """The same with the first digits of its id, for sentences that say where to go."""
        return f"{self.label_of(node)} ({node[:SHORT_ID]})"

    def tags(self, certificate: Certificate) -> tuple[str, ...]:
        """The node's tags: those of the config if it says any, else those of its certificate."""
        return tags(certificate, self.naming())

    def rule_name(self, certificate: Certificate) -> str | None:
        """The name by which rules know the node: the config's, else its token's unless the config gave that away."""
        return rule_name(certificate, self.naming())

    def bearer(self, name: str) -> Certificate | None:
        """The node that bears `name` by its certificate and was given no other by the config."""
        renamed = self.naming().names
        found = (each for each in self.all() if each.node_id not in renamed and name in (each.name, each.host))
        return next(found, None)

    def resolve(self, text: str) -> Certificate:
        """The one node that `text` names: a name, a mesh address, or a prefix of its id.

        Raises NotFound, or Conflict if several fit.
        """
        wanted = text.strip().lower().removesuffix(".pulse")
        if wanted in RESERVED:
            raise NotFound(f'"{text}" is no node of any mesh: programs mean something else by it. See: pulse status')
        found = self._named(wanted) or self._at(wanted) or self._starting(wanted)
        if not found:
            raise NotFound(f'no node is called "{text}".{self._near(wanted)} See the nodes: pulse status')
        if len(found) > 1:
            matches = ", ".join(f"{self.label(each)} ({each.node_id[:SHORT_ID]})" for each in found[:8])
            raise Conflict(f'"{text}" fits {len(found)} nodes: {matches}. Type more digits of the id')
        return found[0]

    def _near(self, name: str) -> str:
        """What may have been meant instead, as the end of a sentence."""
        return meant(name, map(self.label, self.all()))

    def _named(self, name: str) -> list[Certificate]:
        naming = self.naming()
        holder = naming.holder(name)
        if holder is not None:
            return [self._by_node[holder]] if holder in self._by_node else []
        return [each for each in self.all() if each.node_id not in naming.names and name in (each.name, each.host)]

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
    """What a certificate calls its node: its name, else the one it asked for, else the short id."""
    return certificate.name or certificate.host or certificate.node_id[:SHORT_ID]


def tags(certificate: Certificate, naming: Naming) -> tuple[str, ...]:
    """The tags of its node: those of the naming if it says any, else those of the certificate."""
    return naming.tags.get(certificate.node_id, certificate.tags)


def rule_name(certificate: Certificate, naming: Naming) -> str | None:
    """The name rules know its node by: the naming's, else that of the certificate unless it was given away."""
    given = naming.names.get(certificate.node_id)
    own = certificate.name
    return given if given is not None or own is None or naming.holder(own) is not None else own
