"""The CA on disk: its key, its certificate, the mesh range it allots, and the ledger beside them.

    <data dir>/ca/key  certificate  range  succession  ledger.sqlite  journal.head

While its key is being replaced, `succession` holds the next one, and says which of the two signs.

Invariant: the directory appears whole or not at all, and its key is never read by anything but the CA.
"""

import secrets
from dataclasses import dataclass
from ipaddress import IPv4Network
from pathlib import Path
from typing import Final

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from pulse.core.network.ranges import mesh_range
from pulse.core.trust.authorities import parse_authority
from pulse.core.trust.ca import LEAF_LIFETIME, SERIAL_BITS, Issuer, make_authority
from pulse.core.trust.identity import key_hash, public_bytes
from pulse.core.trust.rotation import Step
from pulse.errors import Damaged, PulseError
from pulse.store import succession
from pulse.store.files import check_directory, new_directory, read_checked, write_checked
from pulse.store.ledger import Ledger
from pulse.store.succession import Succession, key_der

DIRECTORY: Final = "ca"
LEDGER: Final = "ledger.sqlite"
HEAD: Final = "journal.head"
PUT_BACK: Final = "put-back"
_NEXT: Final = "Put back a backup of the whole directory; without its CA the mesh takes nobody new."


def exists(data_dir: Path) -> bool:
    """True if this machine holds a CA."""
    return (data_dir / DIRECTORY).is_dir()


def is_put_back(data_dir: Path) -> bool:
    """True if this CA came from a backup and has not heard from the mesh since."""
    return (data_dir / DIRECTORY / PUT_BACK).exists()


def mark_put_back(data_dir: Path) -> None:
    """It is to sign nothing before it heard from the mesh."""
    write_checked(data_dir / DIRECTORY / PUT_BACK, PUT_BACK, b"")


def heard_from_mesh(data_dir: Path) -> None:
    """It may sign again."""
    (data_dir / DIRECTORY / PUT_BACK).unlink(missing_ok=True)


def found(data_dir: Path, network: str, cidr: IPv4Network, now: float) -> None:
    """Make a new network with a CA of its own; raises ConfigError for a bad name, Conflict if there is one."""
    key = Ed25519PrivateKey.generate()
    authority = make_authority(key, network, now, secrets.randbits(SERIAL_BITS))
    with new_directory(data_dir / DIRECTORY) as directory:
        write_checked(directory / "key", "ca-key", key_der(key))
        write_checked(directory / "certificate", "ca-certificate", authority.der)
        write_checked(directory / "range", "mesh-range", str(cidr).encode())
        Ledger.create(directory / LEDGER, authority.network, now).close()


def open_issuer(data_dir: Path, life: float = LEAF_LIFETIME) -> Issuer:
    """The CA of this machine, able to sign certificates good for `life` seconds; raises Damaged that names the file."""
    directory = data_dir / DIRECTORY
    check_directory(directory)
    held = succession.read(directory)
    if held.step in (Step.RENEWING, Step.RETIRING):
        key, der = _key(held.key), held.certificate
    else:
        key, der = _key(read_checked(directory / "key", "ca-key", _NEXT)), _certificate(directory)
    authority = parse_authority(der)
    if key is None or key_hash(public_bytes(key)) != authority.ca_hash:
        raise Damaged(f"{directory} holds a key and a certificate that do not belong together.\n{_NEXT}")
    try:
        cidr = mesh_range(read_checked(directory / "range", "mesh-range", _NEXT).decode())
    except (PulseError, UnicodeDecodeError) as error:
        raise Damaged(f"{directory / 'range'} is damaged.\n{_NEXT}") from error
    return Issuer(key, authority, cidr, _beside(directory, held), held.statements, life)


def statements(data_dir: Path) -> tuple[bytes, ...]:
    """What the CA of this machine has said of its keys; nothing if there is none here."""
    return succession.read(data_dir / DIRECTORY).statements if exists(data_dir) else ()


def _beside(directory: Path, held: Succession) -> tuple[bytes, ...]:
    """The certificate of the other CA key that counts."""
    if held.step is Step.RENEWING:
        return (_certificate(directory),)
    return (held.certificate,) if held.step is Step.INTRODUCING else ()


def _certificate(directory: Path) -> bytes:
    return read_checked(directory / "certificate", "ca-certificate", _NEXT)


def _key(der: bytes) -> Ed25519PrivateKey | None:
    try:
        key = serialization.load_der_private_key(der, None)
    except ValueError:
        return None
    return key if isinstance(key, Ed25519PrivateKey) else None


def open_ledger(data_dir: Path, issuer: Issuer) -> Ledger:
    """The CA's ledger; raises NotFound, Damaged or SystemRefused that names the file."""
    return Ledger.open(data_dir / DIRECTORY / LEDGER, issuer.network)


@dataclass(slots=True)
class HeldCa:
    """The CA's key and ledger while it runs; the key may be another one from one moment to the next."""

    issuer: Issuer
    ledger: Ledger
