"""Shuts nodes out for good: signs the revocation where that may be done, and keeps the CA's ledger in step.

Invariant: a node whose revocation this CA knows, from whomever, gets no certificate.
"""

import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

from pulse import clock
from pulse.core.messages import ObjectKind, printable
from pulse.core.network.statements import Statements
from pulse.core.trust.ca import Issuer
from pulse.core.trust.identity import Signer
from pulse.core.trust.members import Members
from pulse.core.trust.revocation import BY_CA, Revocation, check_revocable, sign_revocation
from pulse.core.types import LEAST_PREFIX, SHORT_ID, NodeId, is_node_id
from pulse.errors import Conflict, NotFound, PulseError, Refused
from pulse.schemas import Revoked, RevokeRequest
from pulse.store.ledger import Ledger

log = logging.getLogger(__name__)


class Publishes(Protocol):
    """What this service asks of the publisher."""

    def revocation(self, signed: Revocation) -> None: ...
    def take_in(self, kind: ObjectKind, data: bytes, /) -> None: ...


@dataclass(frozen=True, slots=True)
class RevokeService:
    """Revocations as this node makes them: with the CA's key if it is here, else with the scribe's."""

    me: NodeId
    signer: Signer
    """This node's key."""
    statements: Statements
    members: Members
    ca_nodes: Callable[[], frozenset[NodeId]]
    publish: Publishes
    ca: tuple[Issuer, Ledger] | None
    """The CA's key and ledger, on the CA."""
    _entered: set[NodeId] = field(default_factory=set, init=False)

    async def revoke(self, wanted: RevokeRequest) -> Revoked:
        """Revoke a node. Raises Refused, NotFound, Conflict, or SystemRefused for a disk that refuses."""
        roles = self.statements.roles
        if self.ca is None and roles.scribe != self.me:
            raise Refused(f"this node is neither the CA nor the scribe, so it revokes nobody.{self._where()}")
        node = self._target(wanted.node_id)
        name = self.members.label_of(node)
        check_revocable(node, roles, self.ca_nodes(), by_ca=self.ca is not None, force=wanted.force)
        now, network = clock.wall(), self.statements.network
        if self.ca is not None:
            issuer, ledger = self.ca
            signed = sign_revocation(network, node, issuer.signer, scribe_epoch=BY_CA, time=now)
            ledger.revoke_node(node, signed.data, now)
        else:
            signed = sign_revocation(network, node, self.signer, scribe_epoch=roles.scribe_epoch, time=now)
        self.publish.revocation(signed)
        return Revoked(node, name, "scribe" if self.ca is None else "ca")

    def catch_up(self) -> None:
        """On the CA, before it signs: what the mesh knows goes into the ledger. Raises what the ledger raises."""
        if self.ca is None:
            return
        for each in self.statements.revocations():
            if each.node not in self._entered:
                self.ca[1].revoke_node(each.node, each.data, clock.wall())
                self._entered.add(each.node)

    def restore(self) -> None:
        """On the CA, at its start: what only the ledger knows goes out to the mesh."""
        for data in self.ca[1].revocations() if self.ca else ():
            if self.statements.holds(ObjectKind.REVOCATION, data):
                continue
            try:
                self.publish.take_in(ObjectKind.REVOCATION, data)
            except PulseError as error:
                log.warning("stored object left out", extra={"kind": "revocation", "error": str(error)})

    # Details

    def _target(self, text: str) -> NodeId:
        """The node people mean; a whole id is taken at its word, for a node may be unknown here."""
        wanted = text.strip().lower()
        try:
            return self.members.resolve(wanted).node_id
        except NotFound:
            for node in self.statements.revoked():
                if self._is_meant(node, wanted):
                    raise Conflict(f"{self.members.label_of(node)} ({node[:SHORT_ID]}) is revoked already") from None
            if not is_node_id(wanted):
                raise NotFound(f'no node is called "{printable(text)}". See the nodes: pulse status') from None
        return NodeId(wanted)

    def _is_meant(self, node: NodeId, wanted: str) -> bool:
        name = self.members.naming().names.get(node)
        return wanted == name or (len(wanted) >= LEAST_PREFIX and node.startswith(wanted))

    def _where(self) -> str:
        scribe = self.statements.roles.scribe
        keepers = sorted(self.ca_nodes() | ({scribe} if scribe else set()))
        named = " or ".join(f"{self.members.label_of(each)} ({each[:SHORT_ID]})" for each in keepers)
        return f"\nRun it on {named}" if named else ""
