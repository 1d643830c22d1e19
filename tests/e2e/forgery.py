"""Certificates that must open no door: each like a member's, but for one thing.

Made with the true CA's key where a thief or a careless CA could have made them, else with another.
"""

from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID, ObjectIdentifier

from pulse import clock
from pulse.core.trust.identity import node_id, public_bytes

CLIENT, SERVER = ExtendedKeyUsageOID.CLIENT_AUTH, ExtendedKeyUsageOID.SERVER_AUTH
DAY = 86_400.0


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a certificate is to say; without a change it is a good member's."""

    key: Ed25519PrivateKey
    signer: Ed25519PrivateKey
    issuer: x509.Name
    label: str
    addresses: tuple[str, str]
    begins: float = -DAY
    """Seconds from now."""
    ends: float = DAY
    uses: tuple[ObjectIdentifier, ...] = (CLIENT, SERVER)

    @property
    def key_der(self) -> bytes:
        """The key as the data plane takes it."""
        return self.key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())

    def made(self) -> x509.Certificate:
        """The certificate."""
        id_uri = f"pulse://{self.label}/{node_id(public_bytes(self.key))}"
        names = [x509.UniformResourceIdentifier(id_uri), *(x509.IPAddress(ip_address(each)) for each in self.addresses)]
        now = datetime.fromtimestamp(clock.wall(), UTC)
        usage = x509.KeyUsage(True, False, False, False, False, False, False, False, False)
        builder = (
            x509.CertificateBuilder(self.issuer, x509.Name([]), self.key.public_key(), x509.random_serial_number())
            .not_valid_before(now + timedelta(seconds=self.begins))
            .not_valid_after(now + timedelta(seconds=self.ends))
            .add_extension(x509.SubjectAlternativeName(names), critical=True)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(usage, critical=True)
        )
        if self.uses:
            builder = builder.add_extension(x509.ExtendedKeyUsage(self.uses), critical=False)
        return builder.sign(self.signer, None)

    def der(self) -> bytes:
        """The certificate in DER."""
        return self.made().public_bytes(Encoding.DER)


def self_signed(good: Wanted) -> Wanted:
    """Vouched for by nobody but itself."""
    return replace(good, signer=good.key, issuer=x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "nobody")]))


def foreign(good: Wanted) -> Wanted:
    """Of a CA that calls itself as ours does."""
    return replace(good, signer=Ed25519PrivateKey.generate())


def expired(good: Wanted) -> Wanted:
    """Good until an hour ago, and younger than the CA."""
    return replace(good, begins=-2 * DAY, ends=-3600.0)


def not_yet_valid(good: Wanted) -> Wanted:
    """Good from tomorrow on."""
    return replace(good, begins=DAY, ends=2 * DAY)


def of_another_network(good: Wanted) -> Wanted:
    """Signed by our CA for a network of another name."""
    return replace(good, label=f"other.{good.label.partition('.')[2]}")


def of_another_first_ca(good: Wanted) -> Wanted:
    """Signed by our CA for a network of our name, which another CA made."""
    return replace(good, label=f"{good.label.partition('.')[0]}.{'0' * 64}")


def for_clients_only(good: Wanted) -> Wanted:
    """Not meant for those who answer."""
    return replace(good, uses=(CLIENT,))


def for_servers_only(good: Wanted) -> Wanted:
    """Not meant for those who call."""
    return replace(good, uses=(SERVER,))


def for_anything(good: Wanted) -> Wanted:
    """Without a word on what it is for."""
    return replace(good, uses=())
