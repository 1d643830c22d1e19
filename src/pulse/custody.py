"""What a person does to a CA's files by hand: backups, and certificates without a network.

Invariant: whatever changes the files holds the data directory's lock, so no daemon runs beside it.
"""

import secrets
from contextlib import suppress
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from pulse import clock, settings
from pulse.certfile import bundle
from pulse.core.trust.ca import SERIAL_BITS, Issuer
from pulse.core.trust.certificates import parse
from pulse.core.trust.identity import check_name, check_tag, node_id
from pulse.core.trust.join import key_of_csr
from pulse.core.trust.members import label
from pulse.core.trust.revocation import RevocationSet, open_revocation
from pulse.core.trust.roles import Roles, open_roles
from pulse.core.types import NodeId
from pulse.errors import Damaged, NotFound, ProtocolError, Refused
from pulse.schemas.cert import CaBackup, SignedCertificate
from pulse.store import authority, backup, identity
from pulse.store.files import lock
from pulse.store.ledger import Ledger
from pulse.store.netconfig import NetworkStore

CSR_LIMIT = 64 * 1024


def save(data_dir: Path, target: Path) -> CaBackup:
    """Write the CA of `data_dir` into the new file `target`; a daemon may run beside. Raises PulseError."""
    return _told(backup.save(data_dir, target, clock.wall()), target)


def put_back(data_dir: Path, source: Path, *, force: bool, alone: bool) -> CaBackup:
    """Put the CA in `source` into `data_dir`, where no daemon may run. Raises PulseError."""
    return _told(backup.put_back(data_dir, source, clock.wall(), force=force, alone=alone), source)


def sign(ca_dir: Path, csr: Path, *, name: str | None, tags: tuple[str, ...], force_time: bool) -> SignedCertificate:
    """Sign the request in the file `csr` with the CA in `ca_dir`, beside which no daemon may run. Raises PulseError."""
    if name is not None:
        check_name(name)
    for tag in tags:
        check_tag(tag)
    request = _request(csr)
    data_dir = _data_dir(ca_dir)
    with lock(data_dir):
        backup.check_whole(data_dir)
        if authority.is_put_back(data_dir):
            raise Refused("this CA came from a backup and has not heard from the mesh yet.\nStart it once: pulse start")
        issuer = authority.open_issuer(data_dir, settings.load({"data-dir": str(data_dir)}).ca.cert_life)
        with authority.open_ledger(data_dir, issuer) as ledger:
            serial = secrets.randbits(SERIAL_BITS)
            try:
                _catch_up(data_dir, issuer, ledger, node_id(key_of_csr(request)))
                der = ledger.sign(
                    issuer, request, name=name, tags=tags, now=clock.wall(), serial=serial, vouched=force_time
                )
            except ProtocolError as error:
                raise Refused(f"{csr} proves no Ed25519 key: {error}.") from error
    certificate = parse(der)
    pem = bundle(der, [each.der for each in issuer.trusted], issuer.successions)
    return SignedCertificate(
        certificate.node_id, label(certificate), str(certificate.addresses.v4), certificate.not_after, pem
    )


def _catch_up(data_dir: Path, issuer: Issuer, ledger: Ledger, asker: NodeId) -> None:
    """Whom this node's disk knows to be out goes into the ledger, as a running CA does it before it signs.

    Raises Refused if `asker` is one whose revocation is damaged; Damaged if the roles, which judge a scribe's, are.
    """
    store = NetworkStore(data_dir)
    kept, newest = store.load_revocations(), store.load_roles()
    if newest.warning:
        raise Damaged(newest.warning)
    if asker in kept.damaged:
        raise Refused("this machine's key was revoked, though the revocation is damaged.")
    trusted = issuer.trusted
    roles = open_roles(newest.data, issuer.network, trusted).roles if newest.data else Roles()
    scribe = (roles.scribe_key, roles.scribe_epoch) if roles.scribe_key else None
    revocations = RevocationSet()
    for data in kept.objects:
        # The word of a scribe that is none any more counts no longer.
        with suppress(ProtocolError, Refused):
            revocations.merge(open_revocation(data, issuer.network, trusted, scribe, _own(data_dir)))
    entered = frozenset(ledger.revocations())
    for each in revocations.counting(roles.scribe_epoch):
        if each.data not in entered:
            ledger.revoke_node(each.node, each.data, clock.wall())


def _own(data_dir: Path) -> tuple[NodeId, ...]:
    """The CA's own node, whom no scribe shuts out."""
    try:
        return (identity.load(data_dir).certificate.node_id,)
    except NotFound:
        return ()


def _told(summary: backup.Summary, file: Path) -> CaBackup:
    network = summary.network.partition(".")[0]
    revoked, kept = (summary.tokens_revoked, summary.master_revoked), tuple(map(str, summary.kept))
    return CaBackup(network, str(file), summary.made, summary.entries, *revoked, summary.peers, kept)


def _data_dir(ca_dir: Path) -> Path:
    """The data directory: named itself, or by the `ca` in it."""
    for place in (ca_dir, ca_dir.parent if ca_dir.name == authority.DIRECTORY else ca_dir):
        if authority.exists(place):
            return place
    raise NotFound(f"there is no CA in {ca_dir}.\nName the data directory of a CA, or the ca/ in it.")


def _request(path: Path) -> bytes:
    """The request in DER, whichever of both forms it has on disk."""
    try:
        with path.open("rb") as file:
            data = file.read(CSR_LIMIT)
    except OSError as error:
        raise NotFound(f"cannot read {path}: {error.strerror}.") from error
    if not data.lstrip().startswith(b"-----"):
        return data
    try:
        return x509.load_pem_x509_csr(data).public_bytes(Encoding.DER)
    except ValueError as error:
        raise Refused(f"{path} holds no certificate request: {error}.\nMake one: openssl req -new -key …") from error
