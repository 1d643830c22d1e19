"""Gives the role of scribe, on the CA: to the first node that may have it and asks.

Invariant: the claim is in the ledger and the roles are on disk before anybody hears of them, and a claim that was
cut short is finished by asking again.
"""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from pulse import clock
from pulse.core.network.statements import Statements
from pulse.core.trust.ca import Issuer
from pulse.core.trust.roles import Roles, SignedRoles, sign_roles
from pulse.core.types import SHORT_ID, NodeId
from pulse.errors import Refused
from pulse.store.ledger import Ledger

log = logging.getLogger(__name__)

LATER = "Giving the role to another node (pulse ca grant) is not in this version yet."


class Publishes(Protocol):
    """What this service asks of the publisher."""

    def roles(self, signed: SignedRoles) -> None: ...


@dataclass(frozen=True, slots=True)
class RolesService:
    """The CA's word on who is scribe."""

    ledger: Ledger
    issuer: Issuer
    statements: Statements
    publish: Publishes
    label: Callable[[NodeId], str]
    """What people call a node."""

    async def claim(self, node: NodeId, _: bytes) -> bytes:
        """The RPC `roles.claim`: the roles that name the caller, signed. Raises Refused, or SystemRefused."""
        roles, signed = self.statements.roles, self.statements.signed_roles
        if roles.scribe == node and signed is not None:
            return signed.data
        if roles.scribe is not None:
            raise Refused(
                f"{self.label(roles.scribe)} ({roles.scribe[:SHORT_ID]}) is the scribe of this network already. {LATER}"
            )
        if not self.ledger.claim_scribe(node, clock.wall()):
            raise Refused(
                "only the first node that joined with the CA's master token and asks becomes the scribe by itself. "
                f"{LATER} Start the CA with --scribe instead"
            )
        appointed = Roles(
            roles.epoch + 1, node, roles.scribe_epoch + 1, roles.operators, scribe_key=self.ledger.public_key(node)
        )
        made = sign_roles(self.issuer.network, appointed, self.issuer.signer)
        self.publish.roles(made)
        log.info("scribe appointed", extra={"node": node[:SHORT_ID]})
        return made.data
