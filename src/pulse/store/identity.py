"""What a node is, on disk: `identity/` with its key, certificate, CA certificates and what it learnt at join.

    key.pem           PKCS#8; never changes
    certificate.pem   ours
    authorities.pem   CA certificates, newest first
    network           label, pin, floors, where to start; and the SHA-256 of the three files above

The directory is written beside and renamed into place, so it is there whole or not at all. The key of a join
under way is kept in `join.key` before anything is asked: a retry must come with the same key.
Invariant: an identity that loads has a key that fits its certificate and a CA that vouches for it.
"""

import hashlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import msgspec
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

from pulse.core.trust.authorities import trusted_authorities
from pulse.core.trust.certificates import Certificate, parse, verify
from pulse.core.trust.identity import public_bytes
from pulse.core.trust.join import Floors
from pulse.errors import Damaged, NotFound, ProtocolError, Refused
from pulse.store.files import (
    check_directory,
    checked,
    finish_replacing,
    newest,
    read_checked,
    read_file,
    replaced_directory,
    write_file,
)

DIRECTORY: Final = "identity"
JOIN_KEY: Final = "join.key"
_KEY: Final = "key.pem"
_CERTIFICATE: Final = "certificate.pem"
_AUTHORITIES: Final = "authorities.pem"
_NETWORK: Final = "network"
_HASHED: Final = (_KEY, _CERTIFICATE, _AUTHORITIES)
_KIND: Final = "identity"
_NEXT_STEP: Final = "Put back a backup of the data directory, or move identity/ away and join again."


@dataclass(frozen=True, slots=True)
class Identity:
    """All a node needs to start: who it is, in which network, and whom it may believe."""

    key: Ed25519PrivateKey = field(repr=False, compare=False)
    """Secret; the certificate says which one it is, so two identities are compared by that."""
    certificate: Certificate
    authorities: tuple[bytes, ...]
    """CA certificates in DER, newest first."""
    successions: tuple[bytes, ...] = ()
    pinned: bool = False
    """True if the join checked the CA against a hash; False if it trusted on first use."""
    token: str = ""
    """Fingerprint of the token it joined with: the first digits of its selector; "" at the CA."""
    floors: Floors = field(default_factory=Floors)
    time_floor: float = 0.0
    """Newest CA-signed time seen, seconds since 1970."""
    bootstrap: tuple[str, ...] = ()
    """Addresses to start from."""

    @property
    def key_der(self) -> bytes:
        """The key as the data plane takes it: PKCS#8 DER."""
        return self.key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())

    @property
    def chain(self) -> list[bytes]:
        """What TLS shows: the leaf, in DER."""
        return [self.certificate.der]


class _Network(msgspec.Struct, frozen=True):
    label: str
    pinned: bool
    token: str
    floors: tuple[int, int, int]
    time_floor: float
    bootstrap: tuple[str, ...]
    successions: tuple[bytes, ...]
    sha256: dict[str, str]


def save(data_dir: Path, identity: Identity) -> None:
    """Write or replace `identity/`, durably, and forget the key of the join under way."""
    with replaced_directory(data_dir / DIRECTORY) as directory:
        _fill(directory, identity)
    (data_dir / JOIN_KEY).unlink(missing_ok=True)


def load(data_dir: Path) -> Identity:
    """The node's identity; raises NotFound if it never joined, Damaged that names the file and the next step."""
    finish_replacing(data_dir / DIRECTORY)
    return read(data_dir)


def read(data_dir: Path) -> Identity:
    """The same, changing nothing: for whoever looks beside the daemon, which may be about to replace it."""
    target = newest(data_dir / DIRECTORY)
    if not target.exists():
        raise NotFound(
            f"this machine has not joined a network ({target} is not there).\n"
            "Join one: pulse join <invite>, or make one: pulse start --ca --scribe"
        )
    check_directory(target)
    network = _read_network(target / _NETWORK)
    contents = {name: _read_hashed(target / name, network.sha256.get(name)) for name in _HASHED}
    return _assemble(target, network, contents)


def join_key(data_dir: Path, fresh: Ed25519PrivateKey) -> Ed25519PrivateKey:
    """The key to join with: that of a join begun before, else `fresh`, kept from now on; raises Damaged."""
    path = data_dir / JOIN_KEY
    try:
        body = read_checked(path, "join-key", f"Remove it and join with a new token: rm {path}")
    except NotFound:
        write_file(path, checked("join-key", _key_pem(fresh)))
        return fresh
    return _read_key(path, body)


def _key_pem(key: Ed25519PrivateKey) -> bytes:
    """The key as it lies on disk: PKCS#8 PEM."""
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def _read_key(path: Path, pem: bytes) -> Ed25519PrivateKey:
    """The key in `pem`, which came from `path`; raises Damaged."""
    try:
        key = load_pem_private_key(pem, None)
    except ValueError as error:
        raise Damaged(f"{path} holds no key.\n{_NEXT_STEP}") from error
    if not isinstance(key, Ed25519PrivateKey):
        raise Damaged(f"{path} holds no Ed25519 key.\n{_NEXT_STEP}")
    return key


def _certificates_pem(ders: tuple[bytes, ...]) -> bytes:
    """Certificates as PEM, one after the other."""
    return b"".join(x509.load_der_x509_certificate(der).public_bytes(Encoding.PEM) for der in ders)


def _read_certificates(path: Path, pem: bytes) -> tuple[bytes, ...]:
    """The certificates in `pem`, which came from `path`, as DER; raises Damaged."""
    try:
        return tuple(each.public_bytes(Encoding.DER) for each in x509.load_pem_x509_certificates(pem))
    except ValueError as error:
        raise Damaged(f"{path} holds no certificate.\n{_NEXT_STEP}") from error


def _fill(directory: Path, identity: Identity) -> None:
    contents = {
        _KEY: _key_pem(identity.key),
        _CERTIFICATE: _certificates_pem((identity.certificate.der,)),
        _AUTHORITIES: _certificates_pem(identity.authorities),
    }
    for name, data in contents.items():
        write_file(directory / name, data)
    floors = identity.floors
    network = _Network(
        label=identity.certificate.network.label,
        pinned=identity.pinned,
        token=identity.token,
        floors=(floors.roles_epoch, floors.scribe_epoch, floors.generation),
        time_floor=identity.time_floor,
        bootstrap=identity.bootstrap,
        successions=identity.successions,
        sha256={name: hashlib.sha256(data).hexdigest() for name, data in contents.items()},
    )
    write_file(directory / _NETWORK, checked(_KIND, msgspec.json.encode(network)))


def _read_network(path: Path) -> _Network:
    try:
        return msgspec.json.decode(read_checked(path, _KIND, _NEXT_STEP), type=_Network)
    except msgspec.DecodeError as error:
        raise Damaged(f"{path} cannot be read: {error}.\n{_NEXT_STEP}") from error
    except NotFound as error:
        raise Damaged(f"{path} is missing.\n{_NEXT_STEP}") from error


def _read_hashed(path: Path, wanted: str | None) -> bytes:
    try:
        data = read_file(path)
    except NotFound as error:
        raise Damaged(f"{path} is missing.\n{_NEXT_STEP}") from error
    if hashlib.sha256(data).hexdigest() != wanted:
        raise Damaged(f"{path} is damaged: it is not what pulse wrote.\n{_NEXT_STEP}")
    return data


def _assemble(target: Path, network: _Network, contents: dict[str, bytes]) -> Identity:
    key = _read_key(target / _KEY, contents[_KEY])
    authorities = _read_certificates(target / _AUTHORITIES, contents[_AUTHORITIES])
    try:
        certificate = parse(_read_certificates(target / _CERTIFICATE, contents[_CERTIFICATE])[0])
        trusted = trusted_authorities(certificate.network, authorities, network.successions)
        verify(certificate, trusted, None)
    except (ProtocolError, Refused) as error:
        raise Damaged(f"{target / _CERTIFICATE} cannot be used: {error}.\n{_NEXT_STEP}") from error
    if certificate.public_key != public_bytes(key) or certificate.network.label != network.label:
        raise Damaged(f"{target / _CERTIFICATE} does not belong to the key beside it.\n{_NEXT_STEP}")
    return Identity(
        key=key,
        certificate=certificate,
        authorities=authorities,
        successions=network.successions,
        pinned=network.pinned,
        token=network.token,
        floors=Floors(*network.floors),
        time_floor=network.time_floor,
        bootstrap=network.bootstrap,
    )
