"""A node's certificate by hand: what `pulse ca sign` makes of its request, brought back to it as a file.

    CERTIFICATE          the node's, then the CA's that count
    PULSE CA STATEMENT   what says that they count, in its order: none if the CA's key was never replaced

Invariant: what is installed was judged like what comes from a CA over the network, and no daemon runs beside it.
"""

import base64
import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding

from pulse import clock
from pulse.core.trust.authorities import chain_of
from pulse.core.trust.certificates import Certificate, parse, verify
from pulse.core.trust.identity import public_bytes
from pulse.core.trust.join import build_csr
from pulse.core.trust.members import label
from pulse.core.types import SHORT_ID, spaced
from pulse.errors import Conflict, NotFound, ProtocolError, Refused
from pulse.schemas.cert import InstalledCertificate
from pulse.store import identity
from pulse.store.files import lock, open_data_dir
from pulse.store.identity import Identity
from pulse.store.netconfig import NetworkStore

LIMIT: Final = 256 * 1024
STATEMENT: Final = "PULSE CA STATEMENT"
_BLOCK = re.compile(rf"-----BEGIN {STATEMENT}-----\s+([A-Za-z0-9+/=\s]+?)-----END {STATEMENT}-----")


@dataclass(frozen=True, slots=True)
class _Bundle:
    """What such a file holds."""

    certificate: Certificate
    authorities: tuple[bytes, ...]
    statements: tuple[bytes, ...]


def bundle(certificate: bytes, authorities: Iterable[bytes], statements: Iterable[bytes]) -> str:
    """The file's text, of a node's certificate, the CA's, and the statements that say that they count."""
    ders = [x509.load_der_x509_certificate(each).public_bytes(Encoding.PEM) for each in (certificate, *authorities)]
    blocks = [
        f"-----BEGIN {STATEMENT}-----\n{base64.encodebytes(each).decode()}-----END {STATEMENT}-----\n"
        for each in statements
    ]
    return b"".join(ders).decode() + "".join(blocks)


def request(data_dir: Path) -> bytes:
    """The certificate request, in PEM, for this machine's key, which is made if there is none. Raises PulseError."""
    with lock(open_data_dir(data_dir)):
        return x509.load_der_x509_csr(build_csr(_key(data_dir)[0])).public_bytes(Encoding.PEM)


def install(data_dir: Path, source: Path) -> InstalledCertificate:
    """Make the certificate in the file `source` this machine's. Raises PulseError, Refused if it does not fit."""
    brought = _read(source)
    with lock(open_data_dir(data_dir)):
        key, held = _key(data_dir)
        if brought.certificate.public_key != public_bytes(key):
            raise Refused(
                f"the certificate in {source} is for {brought.certificate.node_id[:SHORT_ID]}, and this machine has "
                "another key.\nHave its own request signed: pulse cert request"
            )
        made = _identity(data_dir, key, held, brought)
        identity.save(data_dir, made)
    me = made.certificate
    return InstalledCertificate(
        me.node_id, label(me), str(me.addresses.v4), me.not_after, me.network.name, me.network.ca_hash, held is None
    )


def _key(data_dir: Path) -> tuple[Ed25519PrivateKey, Identity | None]:
    """The machine's key, and what it is so far."""
    try:
        held = identity.load(data_dir)
    except NotFound:
        return identity.join_key(data_dir, Ed25519PrivateKey.generate()), None
    return held.key, held


def _identity(data_dir: Path, key: Ed25519PrivateKey, held: Identity | None, brought: _Bundle) -> Identity:
    me = brought.certificate
    if held is not None and held.certificate.network != me.network:
        raise Refused(
            f"the certificate is of network {me.network.name}, CA {spaced(me.network.ca_hash)}; this machine is in "
            f"{held.certificate.network.name}.\nGive each network its own --data-dir"
        )
    chain = chain_of(me.network, (*brought.authorities, *(held.authorities if held else ())), _known(data_dir, held))
    chain = chain.merged(brought.statements)
    verify(me, chain.trusted, clock.wall())
    ders = tuple(each.der for each in chain.trusted)
    if held is None:
        return Identity(key, me, ders, chain.statements, time_floor=clock.wall())
    if me.not_before < held.certificate.not_before:
        raise Conflict("this machine has a later certificate than the one in that file.\nSee it: pulse cert")
    return replace(held, certificate=me, authorities=ders, successions=chain.statements)


def _known(data_dir: Path, held: Identity | None) -> tuple[bytes, ...]:
    """The statements this machine believes already: what they retired, no file brings back."""
    if held is None:
        return ()
    chain = chain_of(held.certificate.network, held.authorities, held.successions)
    return chain.merged(NetworkStore(data_dir).load_chain().statements).statements


def _read(source: Path) -> _Bundle:
    try:
        with source.open("rb") as file:
            data = file.read(LIMIT)
    except OSError as error:
        raise NotFound(f"cannot read {source}: {error.strerror}.") from error
    try:
        leaf, *authorities = (each.public_bytes(Encoding.DER) for each in x509.load_pem_x509_certificates(data))
        statements = [base64.b64decode(each, validate=False) for each in _BLOCK.findall(data.decode("ascii"))]
        return _Bundle(parse(leaf), tuple(authorities), tuple(statements))
    except (ValueError, ProtocolError) as error:
        raise Refused(f"{source} holds no certificate that pulse ca sign made: {error}.") from error
