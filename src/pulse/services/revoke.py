"""Shuts nodes out: signs the revocation where that may be done, and keeps the CA's ledger in step.

Invariant: a node whose revocation this CA knows, from whomever, gets no certificate.
"""

import logging
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from typing import Protocol

import msgspec

from pulse import clock
from pulse.core.messages import MethodName, ObjectKind, Wire, pack, printable, unpack
from pulse.core.network.statements import Statements
from pulse.core.trust.identity import Signer, node_bytes, node_from_bytes
from pulse.core.trust.members import Members
from pulse.core.trust.revocation import BY_CA, Revocation, check_revocable, sign_revocation
from pulse.core.types import LEAST_PREFIX, SHORT_ID, Digest, NodeId, is_node_id
from pulse.errors import Conflict, LinkError, NotFound, PulseError, Refused
from pulse.net.links import CLIENT_PATIENCE, Rpc
from pulse.schemas.revoke import Revoked, RevokeRequest
from pulse.store.authority import HeldCa

log = logging.getLogger(__name__)


class _Wanted(Wire, frozen=True):
    """The body of `revoke`."""

    node: Digest


_wanted = msgspec.msgpack.Decoder(_Wanted)


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
    ca: HeldCa | None
    """The CA's key and ledger, on the CA."""
    call: Rpc
    check: Callable[[], None] = lambda: None
    """Raises Refused on a CA whose key the network replaced since."""
    _entered: set[NodeId] = field(default_factory=set, init=False)

    async def revoke(self, wanted: RevokeRequest) -> Revoked:
        """Revoke a node. Raises Refused, NotFound, Conflict, or SystemRefused for a disk that refuses."""
        node = self._target(wanted.node_id)
        if self.ca is not None or self.statements.roles.scribe == self.me:
            return self._revoked(node, force=wanted.force)
        return await self._asked(node, force=wanted.force)

    async def answer(self, caller: NodeId, body: bytes) -> bytes:
        """The RPC `revoke`, on the scribe: an operator's word is the scribe's. Raises what `revoke` raises."""
        roles = self.statements.roles
        if roles.scribe != self.me or not roles.may_edit(caller, self.ca_nodes()):
            raise Refused(f"{self.members.named(caller)} is no operator here, so it revokes nobody.{self._where()}")
        node = node_from_bytes(unpack(_wanted, body, "revocation wanted", 64).node)
        if self.members.get(node) is None and node not in self.members.naming().names:
            # What is revoked is kept by everybody for good: ids that nobody bears would have no end.
            raise Refused(f"the scribe knows no node {node[:SHORT_ID]}.{self._where()}")
        check_revocable(node, roles, self.ca_nodes(), by_ca=False, force=False)
        self._sign(node, by_ca=False)
        return b""

    def countersign(self, reinstated: Collection[NodeId]) -> None:
        """On the CA: what the scribe revoked is the CA's word from now on and outlives its epoch, but for some."""
        for each in self.statements.by_scribe():
            if each.node in reinstated and self.ca is not None:
                self.ca.ledger.reinstate_node(each.node, clock.wall())
                self._entered.discard(each.node)
            else:
                self._sign(each.node, by_ca=True)

    def resign(self) -> None:
        """On the CA, whose key is another: what it revoked is its word under the new one. Raises as `catch_up` does."""
        for each in self.statements.revocations():
            if self.ca and each.scribe_epoch == BY_CA and each.ca_number < self.statements.chain.number:
                signed = sign_revocation(
                    self.statements.network, each.node, self.ca.issuer.signer, time=each.time, reason=each.reason
                )
                self.ca.ledger.revoke_node(each.node, signed.data, clock.wall())
                self.publish.revocation(signed)

    def catch_up(self) -> None:
        """On the CA, before it signs: what the mesh knows goes into the ledger. Raises what the ledger raises."""
        if self.ca is None:
            return
        for each in self.statements.revocations():
            if each.node not in self._entered:
                self.ca.ledger.revoke_node(each.node, each.data, clock.wall())
                self._entered.add(each.node)

    def restore(self) -> None:
        """On the CA, at its start: what only the ledger knows goes out to the mesh."""
        for data in self.ca.ledger.revocations() if self.ca else ():
            if self.statements.holds(ObjectKind.REVOCATION, data):
                continue
            try:
                self.publish.take_in(ObjectKind.REVOCATION, data)
            except PulseError as error:
                log.warning("stored object left out", extra={"kind": "revocation", "error": str(error)})

    # Details

    def _revoked(self, node: NodeId, *, force: bool) -> Revoked:
        by_ca, name = self.ca is not None, self.members.label_of(node)
        if by_ca:
            self.check()
        check_revocable(node, self.statements.roles, self.ca_nodes(), by_ca=by_ca, force=force)
        self._sign(node, by_ca=by_ca)
        return Revoked(node, name, "ca" if by_ca else "scribe")

    def _sign(self, node: NodeId, *, by_ca: bool) -> None:
        """With the CA's key, which is here, or as the scribe: the CA can take that back."""
        now, network = clock.wall(), self.statements.network
        if by_ca and self.ca is not None:
            signed = sign_revocation(network, node, self.ca.issuer.signer, scribe_epoch=BY_CA, time=now)
            self.ca.ledger.revoke_node(node, signed.data, now)
        else:
            epoch = self.statements.roles.scribe_epoch
            signed = sign_revocation(network, node, self.signer, scribe_epoch=epoch, time=now)
        self.publish.revocation(signed)

    async def _asked(self, node: NodeId, *, force: bool) -> Revoked:
        """An operator has the scribe do it."""
        roles, name = self.statements.roles, self.members.label_of(node)
        if roles.scribe is None or self.me not in roles.operators:
            raise Refused(
                f"this node is neither the CA nor the scribe nor an operator, so it revokes nobody.{self._where()}"
            )
        check_revocable(node, roles, self.ca_nodes(), by_ca=False, force=force)
        try:
            await self.call(roles.scribe, MethodName.REVOKE, pack(_Wanted(node_bytes(node))), CLIENT_PATIENCE)
        except LinkError as error:
            scribe = self.members.named(roles.scribe)
            raise LinkError(
                f"{scribe} is the scribe, who revokes for operators, and gave no answer: {error}.{self._where()}"
            ) from error
        return Revoked(node, name, "scribe")

    def _target(self, text: str) -> NodeId:
        """The node people mean; a whole id is taken at its word, for a node may be unknown here."""
        wanted = text.strip().lower()
        try:
            return self.members.resolve(wanted).node_id
        except NotFound:
            for node in self.statements.revoked():
                if self._is_meant(node, wanted):
                    raise Conflict(f"{self.members.named(node)} is revoked already") from None
            if not is_node_id(wanted):
                raise NotFound(f'no node is called "{printable(text)}". See the nodes: pulse status') from None
        return NodeId(wanted)

    def _is_meant(self, node: NodeId, wanted: str) -> bool:
        name = self.members.naming().names.get(node)
        return wanted == name or (len(wanted) >= LEAST_PREFIX and node.startswith(wanted))

    def _where(self) -> str:
        scribe = self.statements.roles.scribe
        keepers = sorted(self.ca_nodes() | ({scribe} if scribe else set()))
        named = " or ".join(map(self.members.named, keepers))
        return f"\nRun it on {named}" if named else ""
