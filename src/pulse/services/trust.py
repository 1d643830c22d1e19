"""Tells the data plane who we are and whom to believe, whenever that changes.

Invariant: the data plane never trusts more than the core: both get the same authorities and revocations.
"""

from dataclasses import dataclass

from pulse.core.mesh import Mesh
from pulse.core.trust.join import build_showing
from pulse.net.links import Links, Trust
from pulse.store.identity import Identity


@dataclass(slots=True)
class TrustService:
    """The bridge from identity and signed objects to the verifier of handshakes."""

    links: Links
    identity: Identity
    mesh: Mesh

    def install(self) -> None:
        """Install trust first: an identity without it could be shown, but nobody could be judged."""
        self.trust_changed()
        self.links.install_identity(self.identity.chain, self.identity.key_der)

    def renewed(self, identity: Identity) -> None:
        """The CA gave us our next certificate, and perhaps other authorities: handshakes go by them from now on."""
        self.identity = identity
        self.install()

    def trust_changed(self) -> None:
        """Authorities or revocations changed: links and sessions they no longer cover are closed."""
        identity = self.identity
        self.links.install_trust(
            Trust(
                authorities=identity.authorities,
                network=identity.certificate.network.label,
                revoked=tuple(sorted(self.mesh.statements.revoked())),
                time_floor=max(identity.time_floor, identity.certificate.not_before),
                greeting=build_showing(identity.authorities, identity.successions),
            )
        )
