"""What a CA signs: its own certificate, and those of nodes.

Times are whole seconds, serials and the key come in as arguments.
Invariant: every certificate issued here is accepted by `certificates.parse`, the CA's by `parse_authority`.
"""

from dataclasses import dataclass
from datetime import UTC, datetime
from ipaddress import IPv4Network
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from pulse.core.trust.authorities import AUTHORITY, parse_authority, trusted_authorities
from pulse.core.trust.certificates import HOST, NAME, ROLE_CA, TAG, Authority, Certificate, verify
from pulse.core.trust.identity import Signer, key_hash, node_id, public_bytes, x509_key
from pulse.core.types import MeshAddresses, Network, is_network_name, spaced
from pulse.errors import ConfigError, Refused

DAY: Final = 86400.0
CA_LIFETIME: Final = 3650 * DAY
LEAF_LIFETIME: Final = 90 * DAY
BACKDATED: Final = 3600.0
"""A certificate is good from an hour before it was made: clocks of new machines are often a little late."""

BACKDATED_PART: Final = 10
"""Of a certificate that lives less than ten hours, so large a part of its life counts instead."""

SERIAL_BITS: Final = 159
"""RFC 5280 allows 20 bytes and wants them positive."""


@dataclass(frozen=True, slots=True)
class Grant:
    """What goes into a node's certificate; times are seconds since 1970."""

    public_key: bytes
    addresses: MeshAddresses
    name: str | None
    host: str | None
    tags: tuple[str, ...]
    is_ca: bool
    not_before: float
    not_after: float


@dataclass(frozen=True, slots=True)
class Issuer:
    """A CA able to sign: its key, its certificate, and what it hands out with each certificate."""

    signer: Signer
    authority: Authority
    mesh_cidr: IPv4Network
    older: tuple[bytes, ...] = ()
    """Certificates in DER of the other CA key that counts, the one before this or the next: none, or one."""
    successions: tuple[bytes, ...] = ()
    """Statements that say which CA keys count, in their order."""
    life: float = LEAF_LIFETIME
    """Seconds that a node's certificate is good for."""

    @property
    def backdated(self) -> float:
        """Seconds before it was made from which a certificate is good."""
        return min(BACKDATED, self.life / BACKDATED_PART)

    @property
    def network(self) -> Network:
        """The network it issues for."""
        return self.authority.network

    @property
    def trusted(self) -> tuple[Authority, ...]:
        """The CAs whose certificates count now, itself among them."""
        return trusted_authorities(self.network, self.authorities, self.successions)

    def signed(self, certificate: Certificate) -> bool:
        """True if this CA's key signed that certificate; one that an earlier key signed is not its own."""
        try:
            verify(certificate, (self.authority,), None)
        except Refused:
            return False
        return True

    @property
    def authorities(self) -> tuple[bytes, ...]:
        """CA certificates in DER that a joiner needs, its own first."""
        return (self.authority.der, *self.older)

    def issue(self, grant: Grant, serial: int) -> bytes:
        """A node's certificate in DER; `serial` is random, under 2^159."""
        node = node_id(grant.public_key)
        names: list[x509.GeneralName] = [
            x509.UniformResourceIdentifier(f"pulse://{self.network.label}/{node}"),
            x509.IPAddress(grant.addresses.v4),
            x509.IPAddress(grant.addresses.v6),
        ]
        names += [x509.UniformResourceIdentifier(uri) for uri in _further(grant)]
        builder = (
            _builder(grant.public_key, serial, grant.not_before, min(grant.not_after, self.authority.not_after))
            .subject_name(x509.Name([]))
            .issuer_name(x509.load_der_x509_certificate(self.authority.der).subject)
            .add_extension(x509.SubjectAlternativeName(names), critical=True)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_usage(signs_certificates=False), critical=True)
            .add_extension(
                x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH, ExtendedKeyUsageOID.SERVER_AUTH]),
                critical=False,
            )
        )
        return builder.sign(x509_key(self.signer), None).public_bytes(Encoding.DER)


def make_authority(
    signer: Signer, network_name: str, now: float, serial: int, first_ca: str | None = None
) -> Authority:
    """A new CA certificate, signed by its own key; `first_ca` is the network's CA hash for a later key.

    Raises ConfigError for a name that cannot name a network.
    """
    if not is_network_name(network_name):
        raise ConfigError(f"--network {network_name!r}: lower case letters, digits and inner '-', at most 63")
    key = public_bytes(signer)
    network = Network(network_name, first_ca or key_hash(key))
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"pulse CA {spaced(key_hash(key))}")])
    builder = (
        _builder(key, serial, now - BACKDATED, now + CA_LIFETIME)
        .subject_name(subject)
        .issuer_name(subject)
        .add_extension(
            x509.SubjectAlternativeName([x509.UniformResourceIdentifier(AUTHORITY + network.label)]), critical=True
        )
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(signs_certificates=True), critical=True)
    )
    return parse_authority(builder.sign(x509_key(signer), None).public_bytes(Encoding.DER))


def _builder(public_key: bytes, serial: int, not_before: float, not_after: float) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .public_key(Ed25519PublicKey.from_public_bytes(public_key))
        .serial_number(serial)
        .not_valid_before(datetime.fromtimestamp(int(not_before), UTC))
        .not_valid_after(datetime.fromtimestamp(int(not_after), UTC))
    )


def _further(grant: Grant) -> list[str]:
    uris = [TAG + tag for tag in grant.tags]
    if grant.name is not None:
        uris.append(NAME + grant.name)
    if grant.host is not None:
        uris.append(HOST + grant.host)
    if grant.is_ca:
        uris.append(ROLE_CA)
    return uris


def _usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=signs_certificates,
        crl_sign=False,
        encipher_only=False,
        decipher_only=False,
    )
