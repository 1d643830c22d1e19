"""Whether a joiner gets a certificate, and with which address and names: the CA's decision.

It reads the ledger through `Register`, inside the transaction that then writes what was decided.
Invariant: the same register, request and time give the same decision; nothing is written here.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from ipaddress import IPv4Address
from typing import Final, Protocol

from pulse.core.trust.ca import DAY, Grant, Issuer
from pulse.core.trust.certificates import parse
from pulse.core.trust.identity import mesh_v6, node_id, v4_choices
from pulse.core.trust.join import Refusal, Request, key_of_csr, request_is_from
from pulse.core.trust.tokens import TokenRecord
from pulse.core.types import MeshAddresses, NodeId, may_name_node
from pulse.errors import ProtocolError

HELD_AFTER: Final = 120 * DAY
"""How long an address and the names stay with a node after its last certificate ended."""

CLOCK_LEAP: Final = 7 * DAY
"""How far the clock may be past the ledger's newest time before someone must vouch for it."""

_SAME_NAME_LIMIT: Final = 1000
_LABEL_LIMIT: Final = 63


@dataclass(frozen=True, slots=True)
class Issued:
    """A certificate in the ledger; `token` is the selector it was issued for, None for the CA's own node."""

    der: bytes
    token: bytes | None
    not_after: float


class Register(Protocol):
    """What a decision asks of the ledger."""

    def newest_time(self) -> float:
        """Newest time the ledger ever saw."""
        ...

    def token(self, selector: bytes) -> TokenRecord | None:
        """The token with that selector."""
        ...

    def is_revoked(self, node: NodeId) -> bool:
        """True if the node is out for good."""
        ...

    def newest_certificate(self, node: NodeId) -> Issued | None:
        """The node's last certificate."""
        ...

    def address_of(self, node: NodeId) -> IPv4Address | None:
        """The address held for the node."""
        ...

    def address_is_held(self, address: IPv4Address, now: float) -> bool:
        """True if some node holds the address at `now`."""
        ...

    def name_holder(self, name: str, now: float) -> NodeId | None:
        """Who holds the name at `now`."""
        ...


@dataclass(frozen=True, slots=True)
class Repeat:
    """The same key asked again: the same certificate, and no use of the token."""

    node: NodeId
    der: bytes
    token: TokenRecord


@dataclass(frozen=True, slots=True)
class AdmitOwn:
    """Issue this to the CA's own node."""

    node: NodeId
    grant: Grant

    @property
    def held_until(self) -> float:
        """Until when address and names are the node's."""
        return self.grant.not_after + HELD_AFTER


@dataclass(frozen=True, slots=True)
class Admit(AdmitOwn):
    """Issue this; it costs one use of `token`."""

    token: TokenRecord


@dataclass(frozen=True, slots=True)
class Reissue(AdmitOwn):
    """The same key asked again, and what it got is not good yet, for our clock was ahead, or is under a CA key of
    before: another, and no use."""

    token: TokenRecord


@dataclass(frozen=True, slots=True)
class Deny:
    """Issue nothing; `token` is None when the asker did not prove to know one."""

    refusal: Refusal
    token: TokenRecord | None = None
    node: NodeId | None = None


Decision = Repeat | Admit | Reissue | Deny


def clock_is_sound(register: Register, now: float, *, vouched: bool) -> bool:
    """True if the CA may sign: no leap over 7 days, or neighbours' hellos or --force-time vouch for it."""
    return vouched or now <= register.newest_time() + CLOCK_LEAP


def decide(
    request: Request, data: bytes, register: Register, issuer: Issuer, now: float, *, vouched: bool = False
) -> Decision:
    """Decide about the join `request` that came as `data`, at the CA's wall clock `now`."""
    token = register.token(request.selector)
    if token is None or not request_is_from(data, token.keys):
        return Deny(Refusal.UNKNOWN_TOKEN)
    try:
        public_key = key_of_csr(request.csr)
    except ProtocolError:
        return Deny(Refusal.BAD_REQUEST, token)
    node = node_id(public_key)
    # A clock set back must not make an expired token good again.
    judged = max(now, register.newest_time())
    refusal = _revoked(node, token, register)
    if refusal is None and not clock_is_sound(register, now, vouched=vouched):
        # Before anything else, a retry: what is signed moves the ledger's newest time, and leaps up to it are sound.
        refusal = Refusal.CA_CLOCK
    if refusal is not None:
        return Deny(refusal, token, node)
    issued = register.newest_certificate(node)
    if issued is not None and issued.token == request.selector and judged < issued.not_after:
        held = parse(issued.der)
        if held.not_before <= now and issuer.signed(held):
            return Repeat(node, issued.der, token)
        again = _admit(public_key, request.host, token, register, issuer, now=now)
        return again if isinstance(again, Deny) else Reissue(node, again.grant, token)
    unfit = token.unfit(judged)
    if unfit is not None:
        return Deny(Refusal(unfit), token, node)
    return _admit(public_key, request.host, token, register, issuer, now=now)


def decide_own(csr: bytes, host: str, register: Register, issuer: Issuer, now: float) -> AdmitOwn | Deny:
    """Decide about the CA's own node, which needs no token; raises ProtocolError for a bad `csr`."""
    asker = _Asker(key_of_csr(csr), host, is_ca=True)
    grant = _grant(asker, register, issuer, now)
    return grant if isinstance(grant, Deny) else AdmitOwn(asker.node, grant)


def decide_signed(
    csr: bytes,
    name: str | None,
    tags: tuple[str, ...],
    register: Register,
    issuer: Issuer,
    now: float,
    *,
    vouched: bool = False,
) -> AdmitOwn | Deny:
    """Decide about a node whose request a person brought to the CA; raises ProtocolError for a bad `csr`."""
    asker = _Asker(key_of_csr(csr), "", name, tags)
    if register.is_revoked(asker.node):
        return Deny(Refusal.NODE_REVOKED, None, asker.node)
    if not clock_is_sound(register, now, vouched=vouched):
        return Deny(Refusal.CA_CLOCK, None, asker.node)
    grant = _grant(asker, register, issuer, now)
    return grant if isinstance(grant, Deny) else AdmitOwn(asker.node, grant)


def _admit(
    public_key: bytes, host: str, token: TokenRecord, register: Register, issuer: Issuer, *, now: float
) -> Admit | Deny:
    asker = _Asker(public_key, host, token.name, token.tags)
    grant = _grant(asker, register, issuer, now)
    return replace(grant, token=token) if isinstance(grant, Deny) else Admit(asker.node, grant, token)


@dataclass(frozen=True, slots=True)
class _Asker:
    """Who asks, and what its certificate would say."""

    public_key: bytes
    host: str
    name: str | None = None
    tags: tuple[str, ...] = ()
    is_ca: bool = False

    @property
    def node(self) -> NodeId:
        return node_id(self.public_key)


def _grant(asker: _Asker, register: Register, issuer: Issuer, now: float) -> Grant | Deny:
    """What it gets. The clock may have been ahead for a moment: what is held is judged by the latest it showed, but a
    certificate is good from the time it shows now, or nobody would take it till then."""
    node, judged = asker.node, max(now, register.newest_time())
    refusal = _names_refusal(asker.host, asker.name, node, register, judged)
    address = None if refusal else _address(node, register, issuer, judged)
    if refusal or address is None:
        return Deny(refusal or Refusal.RANGE_FULL, None, node)
    return Grant(
        public_key=asker.public_key,
        addresses=MeshAddresses(address, mesh_v6(issuer.network, node)),
        name=asker.name,
        host=free_name(asker.host, node, register, judged),
        tags=asker.tags,
        is_ca=asker.is_ca,
        not_before=now - issuer.backdated,
        not_after=judged + issuer.life,
    )


def _revoked(node: NodeId, token: TokenRecord, register: Register) -> Refusal | None:
    if register.is_revoked(node):
        return Refusal.NODE_REVOKED
    return Refusal.TOKEN_REVOKED if token.revoked is not None else None


def _names_refusal(host: str, name: str | None, node: NodeId, register: Register, now: float) -> Refusal | None:
    if any(each and not may_name_node(each) for each in (host, name)):
        return Refusal.BAD_NAME
    if name is not None and register.name_holder(name, now) not in (None, node):
        return Refusal.NAME_TAKEN
    return None


def _address(node: NodeId, register: Register, issuer: Issuer, now: float) -> IPv4Address | None:
    held = register.address_of(node)
    if held is not None and held in issuer.mesh_cidr:
        return held
    free = (each for each in v4_choices(node, issuer.mesh_cidr) if not register.address_is_held(each, now))
    return next(free, None)


def free_name(host: str, node: NodeId, register: Register, now: float) -> str | None:
    """The name `host`, or one that begins with it, which nobody else holds."""
    free = (name for name in _variants(host) if register.name_holder(name, now) in (None, node))
    return next(free, None)


def _variants(host: str) -> Iterator[str]:
    if not host:
        return
    yield host
    for number in range(2, _SAME_NAME_LIMIT):
        ending = f"-{number}"
        yield host[: _LABEL_LIMIT - len(ending)].rstrip("-") + ending
