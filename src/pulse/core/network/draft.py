"""A network config on its way to the next one: what edits are made to.

Invariant: a draft is never changed; an edit gives another one.
"""

from dataclasses import dataclass, field, replace

from msgspec import structs

from pulse.core.network.netconfig import Config, SignedConfig, named
from pulse.core.network.roll import Roll
from pulse.core.trust.identity import node_from_bytes
from pulse.core.trust.members import Members, Naming
from pulse.core.types import NodeId


@dataclass(frozen=True, slots=True)
class Draft:
    """The config as edited so far."""

    config: Config
    """Its names and tags are those before the edits."""
    naming: Naming
    members: Members
    """Who there is to name, tag and make rules for; edits only look."""
    _roll: list[Roll] = field(default_factory=list, compare=False, repr=False)
    """Shared with the drafts that edits of rules make of this one: at most one."""

    @property
    def roll(self) -> Roll:
        """All nodes, as rules see them once the draft is in force."""
        if not self._roll:
            self._roll.append(Roll.of(self.members, self.naming))
        return self._roll[0]

    @classmethod
    def of(cls, signed: SignedConfig, members: Members, revoked: frozenset[NodeId]) -> "Draft":
        """The config in force, without revoked nodes: what they were called is free, and nothing leads through them."""
        names, tags = signed.naming.names, signed.naming.tags
        living = Naming(
            {node: name for node, name in names.items() if node not in revoked},
            {node: worn for node, worn in tags.items() if node not in revoked},
        )
        routes = [each for each in signed.config.routes if node_from_bytes(each.node) not in revoked]
        return cls(structs.replace(signed.config, routes=routes), living, members)

    def renamed(self, naming: Naming) -> "Draft":
        """The draft with other names or tags."""
        return replace(self, naming=naming, _roll=[])

    def finished(self) -> Config:
        """The config that the draft has become; its number is still the old one."""
        return named(self.config, self.naming)
