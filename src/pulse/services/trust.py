"""Tells the data plane who we are and whom to believe, whenever that changes.

A CA key that retires counts for a moment longer, in which sessions are made anew: by then both their ends have
certificates under the next one. Invariant: but for that moment the data plane never trusts more than the core.
"""

import asyncio
from dataclasses import dataclass, field
from typing import Final

from pulse.core.mesh import Mesh
from pulse.core.trust.certificates import Authority
from pulse.core.trust.join import build_showing
from pulse.net.links import Links, Trust
from pulse.store.identity import Identity

FAREWELL: Final = 3.0
"""Seconds from when a CA key retires until nothing under it is taken any more."""


@dataclass(slots=True)
class TrustService:
    """The bridge from identity and signed objects to the verifier of handshakes."""

    links: Links
    identity: Identity
    mesh: Mesh
    farewell: float = FAREWELL
    _installed: tuple[Authority, ...] = field(default=(), init=False)
    _leaving: tuple[Authority, ...] = field(default=(), init=False)
    """Retired, and taken for a moment longer."""
    _until: float = field(default=0.0, init=False)
    _left: asyncio.Event = field(default_factory=asyncio.Event, init=False)

    async def run(self) -> None:
        """End what is to be ended, until cancelled."""
        while True:
            await self._left.wait()
            await asyncio.sleep(max(self._until - asyncio.get_running_loop().time(), 0.0))
            self._left.clear()
            self._leaving = ()
            self.trust_changed()

    def install(self) -> None:
        """Install trust first: an identity without it could be shown, but nobody could be judged."""
        self.trust_changed()
        self.links.install_identity(self.identity.chain, self.identity.key_der)

    def renewed(self, identity: Identity) -> None:
        """The CA gave us our next certificate: handshakes show it from now on."""
        self.identity = identity
        self.install()

    def trust_changed(self) -> None:
        """Authorities or revocations changed: links and sessions they no longer cover are closed."""
        identity, chain = self.identity, self.mesh.statements.chain
        self._notice_retired(chain.trusted)
        shown = [each.der for each in chain.trusted]
        self.links.install_trust(
            Trust(
                authorities=(*shown, *(each.der for each in self._leaving)),
                network=identity.certificate.network.label,
                revoked=tuple(sorted(self.mesh.statements.revoked())),
                time_floor=max(identity.time_floor, identity.certificate.not_before),
                greeting=build_showing(shown, chain.statements),
            )
        )

    def _notice_retired(self, trusted: tuple[Authority, ...]) -> None:
        gone = tuple(each for each in self._installed if each not in trusted)
        self._installed = trusted
        if gone:
            self._leaving, self._until = gone, asyncio.get_running_loop().time() + self.farewell
            self._left.set()
            self.links.renew_sessions()
