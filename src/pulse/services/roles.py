"""Gives and takes roles, on the CA: where a person says so, and to the first node that may be scribe and asks.

Invariant: the change is in the ledger and the roles are on disk before anybody hears of them, and what was cut
short is finished by asking again.
"""

import logging
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from pulse import clock
from pulse.core.messages import printable
from pulse.core.network.statements import Statements
from pulse.core.trust.ca import Issuer
from pulse.core.trust.identity import public_bytes
from pulse.core.trust.members import Members
from pulse.core.trust.roles import Role, Roles, SignedRoles, sign_roles
from pulse.core.types import LEAST_PREFIX, SHORT_ID, NodeId
from pulse.errors import NotFound, Refused
from pulse.schemas.revoke import Revoked
from pulse.schemas.roles import NodeRole, RoleRequest, RolesInfo
from pulse.store.authority import HeldCa
from pulse.store.ledger import Ledger

log = logging.getLogger(__name__)

MOST_NAMED = 8
"""Nodes named in one sentence."""

Base = tuple[int, int, bytes]
"""Number and SHA-256 of a network config."""


class Publishes(Protocol):
    """What this service asks of the publisher."""

    def roles(self, signed: SignedRoles) -> None: ...


@dataclass(frozen=True, slots=True)
class RolesService:
    """Who is scribe and who operates: told on every node, said on the CA."""

    statements: Statements
    members: Members
    ca_nodes: Callable[[], frozenset[NodeId]]
    publish: Publishes
    countersign: Callable[[Collection[NodeId]], None]
    """Makes the CA's word of what the scribe revoked, before another takes its place, but for some nodes."""
    is_linked: Callable[[], bool]
    """True if a neighbour has told all it holds."""
    highest: Callable[[], int]
    """The highest epoch of roles ever kept on this disk, readable or not: none is signed twice."""
    ca: HeldCa | None
    """The CA's key and ledger, on the CA."""
    check: Callable[[], None] = lambda: None
    """Raises Refused while the CA may sign nothing."""
    kept: Callable[[], Base | None] = lambda: None
    """The newest config on this disk, which roles that are lost may have made count."""

    async def roles(self) -> RolesInfo:
        """Who has which role."""
        roles = self.statements.roles
        held = [(node, "ca") for node in sorted(self.ca_nodes())]
        held += [(roles.scribe, Role.SCRIBE)] if roles.scribe else []
        held += [(node, Role.OPERATOR) for node in sorted(roles.operators)]
        rows = [NodeRole(node, self.members.label_of(node), role, self._problem(node)) for node, role in held]
        revoked = [each.node for each in self.statements.by_scribe()]
        told = [Revoked(node, self.members.label_of(node), "scribe") for node in revoked]
        return RolesInfo(roles.epoch, roles.scribe_epoch, rows, told)

    async def grant(self, wanted: RoleRequest) -> RolesInfo:
        """Give a node a role. Raises Refused, NotFound, Conflict, or SystemRefused for a disk that refuses."""
        issuer, ledger = self._authority()
        role = Role(wanted.role)
        found = self.members.resolve(wanted.node_id)
        before = self.statements.roles
        after = before.granted(found.node_id, role, found.public_key, self._base())
        reinstated = self._reinstated(wanted.reinstate, is_replaced=after.scribe != before.scribe)
        if after == before and role == Role.SCRIBE and wanted.force and self._lacks_config():
            # What it waits for nobody has any more: it goes on from what there is.
            after = replace(before, scribe_epoch=before.scribe_epoch + 1, base=self._base())
        if after == before:
            return await self.roles()
        after = self._numbered(before, after, force=wanted.force)
        if after.scribe != before.scribe:
            self._check_current(before, force=wanted.force)
            self._check_chosen(wanted)
        if after.scribe_epoch != before.scribe_epoch:
            self.countersign(reinstated)
        signed = sign_roles(issuer.network, after, issuer.signer)
        ledger.role_granted(found.node_id, role, after.epoch, clock.wall())
        self._publish(signed, found.node_id, role, "role granted")
        return await self.roles()

    async def ungrant(self, wanted: RoleRequest) -> RolesInfo:
        """Take a role from a node, which may be unknown here. Raises the same."""
        issuer, ledger = self._authority()
        role, node = Role(wanted.role), self._holder(wanted.node_id)
        before = self.statements.roles
        after = self._numbered(before, before.ungranted(node, role), force=wanted.force)
        if after.scribe_epoch != before.scribe_epoch:
            self.countersign(())
        signed = sign_roles(issuer.network, after, issuer.signer)
        ledger.role_taken(node, role, after.epoch, clock.wall())
        self._publish(signed, node, role, "role taken")
        return await self.roles()

    async def claim(self, node: NodeId, _: bytes) -> bytes:
        """The RPC `roles.claim`, on the CA: roles that name the caller, signed. Raises Refused, or SystemRefused."""
        issuer, ledger = self._authority()
        roles, signed = self.statements.roles, self.statements.signed_roles
        if roles.scribe == node and signed is not None:
            return signed.data
        how = f"On the CA: pulse ca grant {node[:SHORT_ID]} scribe"
        if roles.scribe is not None:
            raise Refused(f"{self.members.named(roles.scribe)} is the scribe of this network already.\n{how}")
        if not ledger.claim_scribe(node, clock.wall()):
            raise Refused(
                "only the first node that joined with the CA's master token and asks becomes the scribe by itself.\n"
                f"{how}"
            )
        key = ledger.public_key(node)
        first = Roles(roles.epoch + 1, node, roles.scribe_epoch + 1, roles.operators, scribe_key=key, base=roles.base)
        appointed = self._numbered(roles, first, force=False)
        made = sign_roles(issuer.network, appointed, issuer.signer)
        self._publish(made, node, Role.SCRIBE, "role granted")
        return made.data

    def resign(self) -> None:
        """On the CA, whose key is another: the roles in force, and the first config, are its word under the new one.

        Raises SystemRefused for a disk that refuses.
        """
        signed, config = self.statements.signed_roles, self.statements.config
        if self.ca is None or signed is None or signed.signed_by == public_bytes(self.ca.issuer.signer):
            return
        roles = self._numbered(signed.roles, signed.roles, force=False)
        if roles.scribe_epoch != signed.roles.scribe_epoch:
            self.countersign(())
        if config is not None and config.number[0] == 0:
            roles = replace(roles, base=(*config.number, config.sha256))
        self.publish.roles(sign_roles(self.ca.issuer.network, roles, self.ca.issuer.signer))

    # Details

    def _check_current(self, before: Roles, *, force: bool) -> None:
        """What the scribe said last is the CA's to vouch for, so the CA must have heard it."""
        if before.scribe is None or before.scribe in self.ca_nodes() or self.is_linked() or force:
            return
        scribe = self.members.named(before.scribe)
        raise Refused(
            f"this CA is linked with nobody, so it may not know what {scribe} wrote and revoked "
            "last, and that would be lost.\nWait until it is (pulse status), or say --force"
        )

    def _check_chosen(self, wanted: RoleRequest) -> None:
        """Afterwards it is too late: what is kept is the CA's own word, which nothing takes back."""
        revoked = [each.node for each in self.statements.by_scribe()]
        if revoked and not wanted.reinstate and not wanted.keep_revoked:
            named = ", ".join(map(self.members.named, revoked[:MOST_NAMED]))
            more = f" and {len(revoked) - MOST_NAMED} more" if len(revoked) > MOST_NAMED else ""
            raise Refused(
                f"the scribe that is replaced revoked {named}{more}: say what holds.\n"
                "--keep-revoked if they stay out; --reinstate <id> for each that a thief revoked with it"
            )

    def _reinstated(self, texts: Sequence[str], *, is_replaced: bool) -> frozenset[NodeId]:
        """The nodes people mean, of those that the scribe revoked whom another replaces.

        By their ids: what the config calls them is the word of that same scribe.
        """
        if texts and not is_replaced:
            raise Refused(
                "nodes come back only when another scribe takes the place of the one that revoked them.\n"
                "Name another node: pulse ca grant NODE scribe --reinstate …"
            )
        revoked = {each.node for each in self.statements.by_scribe()}
        return frozenset(self._one_of(revoked, text) for text in texts)

    def _one_of(self, revoked: Collection[NodeId], text: str) -> NodeId:
        wanted = text.strip().lower()
        found = [node for node in revoked if len(wanted) >= LEAST_PREFIX and node.startswith(wanted)]
        if len(found) != 1:
            raise NotFound(
                f'"{printable(text)}" is not the id of one node that the scribe in force revoked.\n'
                "See them: pulse ca roles"
            )
        return found[0]

    def _publish(self, signed: SignedRoles, node: NodeId, role: Role, event: str) -> None:
        self.publish.roles(signed)
        log.info(event, extra={"node": node[:SHORT_ID], "role": role})

    def _authority(self) -> tuple[Issuer, Ledger]:
        if self.ca is None:
            keepers = " or ".join(map(self.members.named, sorted(self.ca_nodes())))
            raise Refused(f"roles are given by the CA alone.\nRun it on {keepers or 'the CA'}")
        self.check()
        return self.ca.issuer, self.ca.ledger

    def _numbered(self, before: Roles, after: Roles, *, force: bool) -> Roles:
        """Numbers that none had before, also if the newest roles are damaged: each of those may have named a scribe."""
        lost = self.highest() - before.epoch
        if lost <= 0:
            return replace(after, epoch=before.epoch + 1)
        if not force and not self.is_linked():
            raise Refused(
                f"the newest roles, of epoch {self.highest()}, are damaged on this disk, so this CA may not know "
                "who has which.\nAny neighbour has them: wait until one is linked (pulse status), or grant with --force"
            )
        epoch = before.epoch + lost + 1
        if after.scribe is None:
            return replace(after, epoch=epoch)
        # A scribe that keeps the role signs its config anew under the new number.
        return replace(after, epoch=epoch, scribe_epoch=before.scribe_epoch + lost + 1, base=self._base())

    def _base(self) -> Base | None:
        config = self.statements.config
        return (*config.number, config.sha256) if config else self.kept()

    def _lacks_config(self) -> bool:
        config, base = self.statements.config, self.statements.roles.base
        return config is None or (base is not None and config.number < base[:2])

    def _holder(self, text: str) -> NodeId:
        """The node people mean, who may be one that left long ago: roles outlive their nodes."""
        wanted = text.strip().lower()
        roles = self.statements.roles
        held = [node for node in (*roles.operators, roles.scribe) if node and node.startswith(wanted)]
        return held[0] if len(held) == 1 and len(wanted) >= SHORT_ID else self.members.resolve(text).node_id

    def _problem(self, node: NodeId) -> str:
        return "revoked" if node in self.statements.revoked() else ""
