"""How what this node signed goes out: onto its disk first, then into its own mesh and to every neighbour.

Invariant: whatever anybody was told is found here after a crash; what the disk refused, nobody hears of.
"""

from collections.abc import Callable
from dataclasses import dataclass

from pulse.core.messages import ObjectKind
from pulse.core.network.netconfig import SignedConfig
from pulse.core.trust.revocation import Revocation
from pulse.core.trust.roles import SignedRoles
from pulse.store.netconfig import NetworkStore


@dataclass(frozen=True, slots=True)
class Publisher:
    """Every method raises PulseError, SystemRefused for a disk that refuses, and then nothing was published."""

    store: NetworkStore
    take_in: Callable[[ObjectKind, bytes], None]
    """The mesh holds the object from now on and tells its neighbours."""

    def config(self, signed: SignedConfig) -> None:
        """The next network config, by the scribe."""
        self.store.save_config(*signed.number, signed.data)
        self.take_in(ObjectKind.CONFIG, signed.data)

    def roles(self, signed: SignedRoles) -> None:
        """The next roles, by the CA."""
        self.store.save_roles(signed.roles.epoch, signed.data)
        self.take_in(ObjectKind.ROLES, signed.data)

    def revocation(self, signed: Revocation) -> None:
        """A node is out, by the CA's or the scribe's word."""
        self.store.save_revocation(signed.node, signed.data)
        self.take_in(ObjectKind.REVOCATION, signed.data)
