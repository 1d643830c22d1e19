"""What a node finds again after a restart: its boot count, signed objects and peers.

Invariant: only what a daemon writes to its data directory is here, so an old copy of it is a real old copy.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Self

from pulse.core.effects import Store, StoreBoot, StoreChain, StoreConfig, StoreRevocation, StoreRoles
from pulse.core.messages import ObjectKind
from pulse.core.trust.certificates import Certificate
from pulse.core.trust.join import Floors
from pulse.core.types import NodeId

ADDRESSES_KEPT = 4
"""As many as `services/persist.py` keeps of a peer."""


@dataclass(slots=True)
class Disk:
    """The data directory of one node."""

    floors: Floors = field(default_factory=Floors)
    boot: int = 0
    chain: tuple[bytes, ...] = ()
    roles: bytes = b""
    config: bytes = b""
    revocations: dict[NodeId, bytes] = field(default_factory=dict)
    peers: dict[NodeId, tuple[Certificate, tuple[str, ...]]] = field(default_factory=dict)

    def keep(self, stored: Store) -> None:
        """Write what the core asked for."""
        match stored:
            case StoreChain(statements):
                self.chain = statements
            case StoreRoles(data=data):
                self.roles = data
            case StoreConfig(data=data):
                self.config = data
            case StoreRevocation(node, None):
                self.revocations.pop(node, None)
            case StoreRevocation(node, bytes(data)):
                self.revocations[node] = data
            case StoreBoot(boot):
                self.boot = boot

    def objects(self) -> Iterator[tuple[ObjectKind, bytes]]:
        """What CA and scribe said, each giving the right to the next."""
        for data in self.chain:
            yield ObjectKind(data[0]), data
        if self.roles:
            yield ObjectKind.ROLES, self.roles
        for data in self.revocations.values():
            yield ObjectKind.REVOCATION, data
        if self.config:
            yield ObjectKind.CONFIG, self.config

    def copy(self) -> Self:
        """A backup, or what a clone starts from."""
        return replace(self, revocations=dict(self.revocations), peers=dict(self.peers))
