"""A node's certificate: read strictly, then judged against the CAs we trust.

cryptography's chain verifier refuses Ed25519 CAs, so the few checks of protocol §1 are made here one by one.
Invariant: a `Certificate` that exists has the whole profile; whether it is trusted is `verify`'s to say.
"""

import re
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from ipaddress import IPv4Address, IPv6Address
from typing import Final, TypeVar

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.utils import CryptographyDeprecationWarning
from cryptography.x509.oid import ExtendedKeyUsageOID, ExtensionOID, SignatureAlgorithmOID

from pulse.core.trust.identity import is_tag, mesh_prefix, node_id, signature_fits
from pulse.core.types import SHORT_ID, MeshAddresses, Network, NodeId, is_network_name, is_node_name
from pulse.errors import ProtocolError, Refused

DER_LIMIT: Final = 8192
TAGS_LIMIT: Final = 32

NAME: Final = "pulse:name:"
HOST: Final = "pulse:host:"
TAG: Final = "pulse:tag:"
ROLE_CA: Final = "pulse:role:ca"

_IDENTITY = re.compile(r"pulse://([a-z0-9-]{1,63})\.([0-9a-f]{64})/([0-9a-f]{64})")
_UNDERSTOOD: Final = frozenset(
    {
        ExtensionOID.BASIC_CONSTRAINTS,
        ExtensionOID.KEY_USAGE,
        ExtensionOID.EXTENDED_KEY_USAGE,
        ExtensionOID.SUBJECT_ALTERNATIVE_NAME,
    }
)
_BOTH_ENDS: Final = {ExtendedKeyUsageOID.CLIENT_AUTH, ExtendedKeyUsageOID.SERVER_AUTH}

_E = TypeVar("_E", bound=x509.ExtensionType)


@dataclass(frozen=True, slots=True)
class Authority:
    """A CA certificate: 10 years, path length 0, never a node's."""

    der: bytes
    ca_hash: str
    """64 hex digits: SHA-256 of this CA's SubjectPublicKeyInfo (the network's is that of its first CA)."""
    network: Network
    public_key: bytes
    not_before: float
    not_after: float
    number: int = field(default=0, compare=False)
    """How many CA keys of its network came before this one, as the chain has it."""


@dataclass(frozen=True, slots=True)
class Certificate:
    """A node's certificate; times are seconds since 1970."""

    der: bytes
    node_id: NodeId
    network: Network
    addresses: MeshAddresses
    name: str | None
    """Signed by a token: counts in rules."""
    host: str | None
    """Asked for at join: display and DNS only."""
    tags: tuple[str, ...]
    is_ca: bool
    """The CA's own node."""
    not_before: float
    not_after: float
    serial: int
    public_key: bytes


def parse(der: bytes) -> Certificate:
    """Read a node's certificate.

    Raises ProtocolError for bytes that are no X.509, Refused for a certificate that is not a pulse node's.
    """
    with reading("certificate", der):
        leaf = x509.load_der_x509_certificate(der)
        public_key = check_form(leaf)
        _check_profile(leaf)
        uris, v4, v6 = _alternative_names(leaf)
        network, node = _identity(uris)
        if node != node_id(public_key):
            raise Refused("certificate names a node id that is not its key's")
        if v6 not in mesh_prefix(network):
            raise Refused(f"certificate of {node[:SHORT_ID]} has an address outside its network: {v6}")
        return Certificate(
            der=der,
            node_id=node,
            network=network,
            addresses=MeshAddresses(v4, v6),
            name=_one(uris, NAME),
            host=_one(uris, HOST),
            tags=_tags(uris),
            is_ca=ROLE_CA in uris,
            not_before=leaf.not_valid_before_utc.timestamp(),
            not_after=leaf.not_valid_after_utc.timestamp(),
            serial=leaf.serial_number,
            public_key=public_key,
        )


def verify(
    certificate: Certificate, authorities: Sequence[Authority], now: float | None, floor: float = 0.0
) -> Authority:
    """The CA that vouches for `certificate`; raises Refused and says why none does.

    Validity is judged at max(`now`, `floor`); while `now` is below the floor (a clock that lost its time)
    `not_before` is not judged. With `now` None, on the join lane, times are not judged at all.
    """
    authority = _issuer(certificate, authorities)
    if now is not None:
        who = f"certificate of {certificate.node_id[:SHORT_ID]}"
        _judge_times(who, certificate.not_before, certificate.not_after, now, floor)
        _judge_times("certificate of its CA", authority.not_before, authority.not_after, now, floor)
    return authority


def is_signed_by(certificate: Certificate, public_key: bytes) -> bool:
    """True if the key behind these 32 bytes signed it, whether or not that key still counts."""
    leaf = x509.load_der_x509_certificate(certificate.der)
    return signature_fits(public_key, leaf.signature, leaf.tbs_certificate_bytes)


def as_utc(seconds: float) -> str:
    """A time for people: `2026-11-24 14:39 UTC`."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M UTC")


@contextmanager
def reading(what: str, der: bytes) -> Iterator[None]:
    """Turn every complaint of the X.509 library about `der` into a ProtocolError that names `what`."""
    if len(der) > DER_LIMIT:
        raise ProtocolError(f"{what} of {len(der)} bytes; {DER_LIMIT} are allowed")
    try:
        # A serial of zero or less only earns a warning there; `check_form` refuses it.
        with warnings.catch_warnings(action="ignore", category=CryptographyDeprecationWarning):
            yield
    except (
        ValueError,
        TypeError,
        UnsupportedAlgorithm,
        x509.DuplicateExtension,
        x509.InvalidVersion,
        x509.UnsupportedGeneralNameType,
    ) as error:
        raise ProtocolError(f"undecodable {what}: {error}") from error


def check_form(certificate: x509.Certificate) -> bytes:
    """What node and CA certificates share: v3, Ed25519 throughout, nothing critical we do not understand.

    Returns the 32 bytes of the public key; raises Refused.
    """
    key = certificate.public_key()
    if not isinstance(key, Ed25519PublicKey) or certificate.signature_algorithm_oid != SignatureAlgorithmOID.ED25519:
        raise Refused("certificate does not use Ed25519")
    if certificate.version is not x509.Version.v3:
        raise Refused("certificate is not X.509 version 3")
    if certificate.serial_number <= 0:
        raise Refused("certificate has no positive serial number")
    for extension in certificate.extensions:
        if extension.critical and extension.oid not in _UNDERSTOOD:
            raise Refused(f"certificate has a critical extension unknown here: {extension.oid.dotted_string}")
    return key.public_bytes_raw()


def critical(certificate: x509.Certificate, kind: type[_E]) -> _E:
    """The critical extension of that kind; raises Refused if it is absent or not critical."""
    try:
        extension = certificate.extensions.get_extension_for_class(kind)
    except x509.ExtensionNotFound as error:
        raise Refused(f"certificate lacks {kind.__name__}") from error
    if not extension.critical:
        raise Refused(f"certificate does not mark {kind.__name__} critical")
    return extension.value


def key_usages(certificate: x509.Certificate) -> set[str]:
    """Names of the key usages that are set."""
    usage = critical(certificate, x509.KeyUsage)
    names = ("digital_signature", "content_commitment", "key_encipherment", "data_encipherment", "key_agreement")
    return {name for name in (*names, "key_cert_sign", "crl_sign") if getattr(usage, name)}


def _check_profile(leaf: x509.Certificate) -> None:
    if list(leaf.subject):
        raise Refused("certificate has a subject; a node's has none")
    if critical(leaf, x509.BasicConstraints).ca:
        raise Refused("a CA's certificate cannot be a node's")
    if key_usages(leaf) != {"digital_signature"}:
        raise Refused("certificate has a wrong key usage")
    try:
        extended = leaf.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    except x509.ExtensionNotFound as error:
        raise Refused("certificate lacks an extended key usage") from error
    if set(extended) != _BOTH_ENDS:
        raise Refused("certificate has a wrong extended key usage")


def _alternative_names(leaf: x509.Certificate) -> tuple[list[str], IPv4Address, IPv6Address]:
    uris: list[str] = []
    v4: list[IPv4Address] = []
    v6: list[IPv6Address] = []
    for general in critical(leaf, x509.SubjectAlternativeName):
        value = general.value
        if isinstance(general, x509.UniformResourceIdentifier):
            uris.append(general.value)
        elif isinstance(value, IPv4Address):
            v4.append(value)
        elif isinstance(value, IPv6Address):
            v6.append(value)
        else:
            raise Refused(f"certificate has an alternative name of a foreign kind: {type(general).__name__}")
    if len(v4) != 1 or len(v6) != 1:
        raise Refused(f"certificate has {len(v4)} IPv4 and {len(v6)} IPv6 addresses; one of each is needed")
    return uris, v4[0], v6[0]


def _identity(uris: list[str]) -> tuple[Network, NodeId]:
    found = [uri for uri in uris if uri.startswith("pulse://")]
    if len(found) != 1:
        raise Refused(f"certificate has {len(found)} identities; exactly one is needed")
    match = _IDENTITY.fullmatch(found[0])
    if match is None or not is_network_name(match[1]):
        raise Refused("certificate has a malformed identity")
    return Network(match[1], match[2]), NodeId(match[3])


def _one(uris: list[str], prefix: str) -> str | None:
    found = [uri.removeprefix(prefix) for uri in uris if uri.startswith(prefix)]
    if not found:
        return None
    if len(found) > 1 or not is_node_name(found[0]):
        raise Refused(f"certificate has a malformed {prefix.split(':')[1]}")
    return found[0]


def _tags(uris: list[str]) -> tuple[str, ...]:
    tags = tuple(uri.removeprefix(TAG) for uri in uris if uri.startswith(TAG))
    if len(tags) > TAGS_LIMIT or not all(map(is_tag, tags)):
        raise Refused("certificate has malformed tags")
    return tags


def _issuer(certificate: Certificate, authorities: Sequence[Authority]) -> Authority:
    leaf = x509.load_der_x509_certificate(certificate.der)
    who = certificate.node_id[:SHORT_ID]
    for authority in authorities:
        if authority.network != certificate.network:
            continue
        try:
            leaf.verify_directly_issued_by(x509.load_der_x509_certificate(authority.der))
        except (InvalidSignature, ValueError, TypeError):
            continue
        return authority
    networks = {authority.network for authority in authorities}
    if certificate.network not in networks:
        named = " or ".join(sorted(network.name for network in networks)) or "none"
        raise Refused(f"certificate of {who} is of another network ({certificate.network.name}; ours is {named})")
    raise Refused(f"certificate of {who} is not signed by the CA of network {certificate.network.name}")


def _judge_times(who: str, not_before: float, not_after: float, now: float, floor: float) -> None:
    if max(now, floor) > not_after:
        raise Refused(f"{who} ended at {as_utc(not_after)}; it is {as_utc(max(now, floor))}")
    if floor <= now < not_before:
        raise Refused(f"{who} is not valid before {as_utc(not_before)}; our clock says {as_utc(now)}")
