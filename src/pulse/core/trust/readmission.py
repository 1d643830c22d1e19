"""Whether a member gets its next certificate: the CA's decision.

Address, name and tags stay as they were. Nobody gets more than one certificate in half a life and under one CA key,
whatever it asks: till then it is given the newest it has, so requests cost the ledger nothing. Invariant: the same
register, request and time give the same decision, and no request is carried out twice.
"""

from dataclasses import dataclass
from typing import Final, Protocol

from pulse.core.trust import admission
from pulse.core.trust.admission import AdmitOwn, clock_is_sound, free_name
from pulse.core.trust.ca import DAY, Grant, Issuer
from pulse.core.trust.certificates import Certificate, parse
from pulse.core.trust.identity import mesh_v6
from pulse.core.trust.join import Refusal
from pulse.core.types import MeshAddresses, NodeId

GRACE: Final = 30 * DAY
"""How long after its end a certificate can be renewed without a token."""

EARLIEST: Final = 0.5
"""Share of its life that a certificate may have left at most to be replaced; its node asks at a third."""


class Register(admission.Register, Protocol):
    """What a decision asks of the ledger."""

    def is_issued(self, serial: int) -> bool:
        """True if there is a certificate with that serial."""
        ...


@dataclass(frozen=True, slots=True)
class Readmit(AdmitOwn):
    """Issue this; `token` is the selector the certificate before it was issued for."""

    token: bytes | None


@dataclass(frozen=True, slots=True)
class Remind:
    """The node has a newer certificate, or one that is good for long: the same again."""

    node: NodeId
    der: bytes


@dataclass(frozen=True, slots=True)
class Dismiss:
    """Issue nothing."""

    node: NodeId
    refusal: Refusal


Decision = Readmit | Remind | Dismiss


def decide_renewal(
    shown: Certificate, serial: int, register: Register, issuer: Issuer, now: float, *, vouched: bool = False
) -> Decision:
    """Decide about the node that proved to have the certificate `shown`; its next one would bear `serial`.

    `now` is the CA's wall clock. A ledger put back from a backup may not know `shown`; our key signed it all the same.
    """
    node = shown.node_id
    judged = max(now, register.newest_time())
    issued = register.newest_certificate(node)
    held = shown if issued is None else parse(issued.der)
    newest = max(shown, held, key=lambda each: each.not_before)
    sound = clock_is_sound(register, now, vouched=vouched)
    refusal = _refusal(newest, serial, register, judged, sound=sound) or _address_refusal(held, register, judged)
    if refusal is not None:
        return Dismiss(node, refusal)
    is_early = newest.not_after - judged > EARLIEST * (newest.not_after - newest.not_before)
    if is_early and issuer.signed(newest):
        return Remind(node, newest.der)
    # Of two certificates the ledger's own counts: tags that a later join did not give again must not come back.
    return Readmit(node, _grant(held, register, issuer, now, judged), issued.token if issued else None)


def _refusal(newest: Certificate, serial: int, register: Register, now: float, *, sound: bool) -> Refusal | None:
    node = newest.node_id
    if register.is_revoked(node):
        return Refusal.NODE_REVOKED
    if register.is_issued(serial):
        return Refusal.REPLAYED
    # The CA's own node is where the CA is: nobody else could let it in again.
    if not newest.is_ca:
        if now > newest.not_after + GRACE:
            return Refusal.TOO_LATE
        if newest.not_before > now:
            # This ledger never saw a time at which it was signed: that clock was another.
            return Refusal.NOT_YET_VALID
    return None if sound else Refusal.CA_CLOCK


def _address_refusal(held: Certificate, register: Register, now: float) -> Refusal | None:
    v4 = held.addresses.v4
    taken = register.address_of(held.node_id) != v4 and register.address_is_held(v4, now)
    return Refusal.ADDRESS_TAKEN if taken else None


def _grant(held: Certificate, register: Register, issuer: Issuer, now: float, judged: float) -> Grant:
    node, name = held.node_id, held.name
    if name is not None and register.name_holder(name, judged) not in (None, node):
        name = None
    return Grant(
        public_key=held.public_key,
        addresses=MeshAddresses(held.addresses.v4, mesh_v6(issuer.network, node)),
        name=name,
        host=free_name(held.host or "", node, register, judged),
        tags=held.tags,
        is_ca=held.is_ca,
        not_before=now - issuer.backdated,
        not_after=judged + issuer.life,
    )
