"""How this machine becomes a member: it makes a network with a CA of its own, or joins one.

Each step looks first whether it was done before, so a start cut short is finished by the next one.
Invariant: a machine has one identity; nothing here replaces it.
"""

import logging
import secrets
import socket
from dataclasses import dataclass, replace
from ipaddress import IPv4Network
from pathlib import Path
from typing import Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from pulse import clock
from pulse.core.network.netconfig import base_of, first_config
from pulse.core.trust.ca import LEAF_LIFETIME, SERIAL_BITS, Issuer
from pulse.core.trust.certificates import parse
from pulse.core.trust.identity import requested_name
from pulse.core.trust.invites import decode_invite
from pulse.core.trust.join import Enrolment, build_csr
from pulse.core.trust.roles import Roles, open_roles, sign_roles
from pulse.core.trust.signed import Forged
from pulse.core.trust.tokens import Token, parse_token
from pulse.core.types import INVITE_PREFIX, SHORT_ID, NodeId
from pulse.errors import Conflict, Refused
from pulse.store import authority, identity
from pulse.store.identity import Identity
from pulse.store.netconfig import NetworkStore

log = logging.getLogger(__name__)

_NO_ROLES: Final = (
    "Any neighbour has the roles and sends them. If no other node is left: pulse ca grant <node> scribe --force"
)


@dataclass(frozen=True, slots=True)
class Door:
    """By which nodes and with which token to join; `network` is the name it must have, if one was named."""

    addresses: tuple[str, ...]
    token: Token
    network: str | None


def door(relays: tuple[str, ...], token: str, invite: str, network: str | None) -> Door:
    """The way in that a person gave: an invite, or relays and a token. Raises Refused."""
    text = invite or next((each for each in relays if each.startswith(INVITE_PREFIX)), "")
    if text:
        held = decode_invite(text)
        if network is not None and network != held.network.name:
            raise Refused(f"the invite is for network {held.network.name}, not {network}.\nLeave --network out.")
        return Door(held.addresses, held.token, held.network.name)
    if not token:
        raise Refused("a token is needed to join.\nGet an invite on the CA: pulse invite. Or: --token-file <file>")
    return Door(relays, parse_token(token), network)


def wanted_name(name: str) -> str:
    """The name this machine asks for: the one a person gave, else its host name."""
    return name or requested_name(socket.gethostname())


def found(data_dir: Path, network: str, cidr: IPv4Network, name: str, life: float = LEAF_LIFETIME) -> Identity:
    """Make a network and its first node, or finish a founding that was cut short; raises Conflict for another name."""
    now = clock.wall()
    if not authority.exists(data_dir):
        authority.found(data_dir, network, cidr, now)
    issuer = authority.open_issuer(data_dir, life)
    if issuer.network.name != network:
        raise Conflict(
            f"{data_dir} holds the CA of network {issuer.network.name}, begun by an earlier start.\n"
            f"Finish it with --network {issuer.network.name}, or give {network} its own --data-dir"
        )
    key = identity.join_key(data_dir, Ed25519PrivateKey.generate())
    with authority.open_ledger(data_dir, issuer) as ledger:
        serial = secrets.randbits(SERIAL_BITS)
        der = ledger.enrol_own(issuer, build_csr(key), wanted_name(name), now=now, serial=serial)
    made = Identity(key, parse(der), issuer.authorities, issuer.successions, pinned=True, time_floor=now)
    identity.save(data_dir, made)
    return made


def state_network(data_dir: Path, issuer: Issuer, scribe: NodeId | None) -> None:
    """Sign what a network has from its first minute: config (0, 1) and roles; `scribe` is the CA's own node or None."""
    store = NetworkStore(data_dir)
    if store.load_config().data is None:
        signed = first_config(issuer.network, issuer.mesh_cidr, issuer.signer)
        store.save_config(*signed.number, signed.data)
    held = store.load_roles().data
    try:
        before = open_roles(held, issuer.network, issuer.trusted).roles if held else Roles()
    except Forged as error:
        # The newest are damaged and a retired key signed those before, so who has which role only the mesh knows.
        log.warning("stored object left out", extra={"kind": "roles", "error": f"{error}.\n{_NO_ROLES}"})
        return
    if held is None or (scribe is not None and before.scribe is None):
        # Of newer ones that are damaged each may have named a scribe, and what the last of them wrote still counts.
        lost = max(0, store.highest_roles() - before.epoch)
        roles = Roles(before.epoch + lost + 1, operators=before.operators)
        if scribe is not None:
            config = store.load_config().data if lost else None
            base, number = base_of(config) if config else before.base, before.scribe_epoch + lost + 1
            roles = replace(roles, scribe=scribe, scribe_epoch=number, scribe_key=_key_of(data_dir, scribe), base=base)
        store.save_roles(roles.epoch, sign_roles(issuer.network, roles, issuer.signer).data)


def _key_of(data_dir: Path, node: NodeId) -> bytes | None:
    """Public key of this machine's node, if that is the one."""
    held = identity.load(data_dir).certificate
    return held.public_key if held.node_id == node else None


def keep(data_dir: Path, key: Ed25519PrivateKey, enrolment: Enrolment, way: Door) -> Identity:
    """Write what a join brought."""
    joined = Identity(
        key,
        enrolment.certificate,
        enrolment.authorities,
        enrolment.successions,
        pinned=way.token.ca_hash is not None,
        token=way.token.keys.selector.hex()[:SHORT_ID],
        floors=enrolment.floors,
        time_floor=enrolment.ca_time,
        bootstrap=way.addresses,
    )
    identity.save(data_dir, joined)
    return joined


def check_member(held: Identity, network: str | None, *, wants_ca: bool) -> None:
    """Raise Refused or Conflict if a person asks this member for what it is not."""
    name = held.certificate.network.name
    if network is not None and network != name:
        raise Refused(f"this machine is a member of {name}, not of {network}.\nGive each network its own --data-dir")
    if wants_ca and not held.certificate.is_ca:
        raise Conflict(f"this machine joined {name} as a member.\nA CA of its own needs its own --data-dir")
