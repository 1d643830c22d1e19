"""A CA's files by hand: a certificate signed without a network is in the same ledger, and nothing runs beside it."""

from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding

from pulse import clock, custody
from pulse.core.trust.admission import CLOCK_LEAP
from pulse.core.trust.authorities import parse_authority
from pulse.core.trust.certificates import parse, verify
from pulse.core.trust.identity import public_bytes
from pulse.core.trust.join import build_csr
from pulse.core.trust.revocation import sign_revocation
from pulse.core.trust.roles import Roles, sign_roles
from pulse.errors import Conflict, Damaged, NotFound, Refused
from pulse.schemas.cert import SignedCertificate
from pulse.store import authority, backup, identity
from pulse.store.files import lock, open_data_dir
from pulse.store.identity import Identity
from pulse.store.netconfig import NetworkStore
from tests.authority import MESH, NOW, key, node


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> dict[str, float]:
    now = {"now": NOW}
    monkeypatch.setattr(clock, "wall", lambda: now["now"])
    return now


@pytest.fixture
def data_dir(tmp_path: Path, world: dict[str, float]) -> Path:
    place = open_data_dir(tmp_path / "data")
    authority.found(place, "mynet", MESH, world["now"])
    return place


@pytest.fixture
def csr(tmp_path: Path) -> Path:
    path = tmp_path / "node.csr"
    path.write_bytes(build_csr(key("a")))
    return path


def signed(data_dir: Path, csr: Path, name: str | None = "db", *tags: str) -> SignedCertificate:
    return custody.sign(data_dir, csr, name=name, tags=tags, force_time=False)


@pytest.mark.parametrize("inside", ["", "ca"])
def test_a_request_is_signed_in_the_same_ledger_and_journal(data_dir: Path, csr: Path, inside: str) -> None:
    found = signed(data_dir / inside, csr, "db", "prod")
    leaf, issuer = (each.public_bytes(Encoding.DER) for each in x509.load_pem_x509_certificates(found.pem.encode()))
    certificate = parse(leaf)
    verify(certificate, (parse_authority(issuer),), NOW)
    assert (certificate.node_id, certificate.name, certificate.tags) == (node("a"), "db", ("prod",))
    assert (found.id, found.name, found.v4) == (node("a"), "db", str(certificate.addresses.v4))
    with authority.open_ledger(data_dir, authority.open_issuer(data_dir)) as ledger:
        last = ledger.entries()[-1]
        assert (last.event, last.fields["node"], last.fields["name"]) == ("certificate issued", node("a"), "db")
        assert ledger.verify().broken is None


def test_a_request_in_pem_is_taken_too(data_dir: Path, csr: Path) -> None:
    csr.write_bytes(x509.load_der_x509_csr(csr.read_bytes()).public_bytes(Encoding.PEM))
    assert signed(data_dir, csr).id == node("a")


def test_nothing_is_signed_beside_a_daemon_or_where_no_ca_is(data_dir: Path, csr: Path, tmp_path: Path) -> None:
    with lock(data_dir), pytest.raises(Conflict, match="another pulse"):
        signed(data_dir, csr)
    with pytest.raises(NotFound, match="there is no CA"):
        signed(tmp_path, csr)


@pytest.mark.parametrize(
    ("content", "error"), [(b"", Refused), (b"-----BEGIN NOTHING", Refused), (b"\x30\x00", Refused), (None, NotFound)]
)
def test_what_is_no_request_is_refused(
    data_dir: Path, tmp_path: Path, content: bytes | None, error: type[Exception]
) -> None:
    path = tmp_path / "odd"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(error):
        signed(data_dir, path)


def test_a_key_of_another_kind_is_refused(data_dir: Path, tmp_path: Path) -> None:
    request = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([]))
    made = request.sign(ec.generate_private_key(ec.SECP256R1()), hashes.SHA256())
    (tmp_path / "ec").write_bytes(made.public_bytes(Encoding.DER))
    with pytest.raises(Refused, match="proves no Ed25519 key"):
        signed(data_dir, tmp_path / "ec")


def test_odd_names_and_tags_are_refused_and_taken_ones_too(data_dir: Path, csr: Path, tmp_path: Path) -> None:
    for name, tags in (("Not A Name", ()), ("db", ("No Tag",))):
        with pytest.raises(Refused, match="cannot"):
            signed(data_dir, csr, name, *tags)
    signed(data_dir, csr)
    (tmp_path / "second").write_bytes(build_csr(key("b")))
    with pytest.raises(Refused, match="belongs to another node"):
        signed(data_dir, tmp_path / "second")


def test_a_revoked_key_and_a_clock_that_leapt_are_refused(data_dir: Path, csr: Path, world: dict[str, float]) -> None:
    world["now"] += CLOCK_LEAP + 1
    with pytest.raises(Refused, match="clock leapt"):
        signed(data_dir, csr)
    assert custody.sign(data_dir, csr, name=None, tags=(), force_time=True).name == node("a")[:12]
    issuer = authority.open_issuer(data_dir)
    with authority.open_ledger(data_dir, issuer) as ledger:
        revocation = sign_revocation(issuer.network, node("a"), issuer.signer, time=NOW)
        ledger.revoke_node(node("a"), revocation.data, NOW)
    with pytest.raises(Refused, match="revoked"):
        signed(data_dir, csr)


def test_a_ca_from_a_backup_signs_nothing_by_hand_before_it_heard_from_the_mesh(
    data_dir: Path, csr: Path, tmp_path: Path
) -> None:
    issuer = authority.open_issuer(data_dir)
    with authority.open_ledger(data_dir, issuer) as ledger:
        der = ledger.enrol_own(issuer, build_csr(key("own")), "box", now=NOW, serial=3)
    identity.save(data_dir, Identity(key("own"), parse(der), issuer.authorities))
    saved = custody.save(data_dir, tmp_path / "backup")
    assert (saved.network, saved.entries) == ("mynet", 2)
    elsewhere = tmp_path / "elsewhere"
    assert custody.put_back(elsewhere, tmp_path / "backup", force=False, alone=False).tokens_revoked == 0
    with pytest.raises(Refused, match="has not heard from the mesh"):
        signed(elsewhere, csr)
    backup.put_back(elsewhere, tmp_path / "backup", NOW, force=True, alone=True)
    assert signed(elsewhere, csr).id == node("a")


@pytest.mark.parametrize(("whose", "epoch", "refused"), [("ca", 0, True), ("scribe", 3, True), ("scribe", 2, False)])
def test_a_key_whose_revocation_is_on_disk_is_refused_though_the_ledger_never_heard_of_it(
    data_dir: Path, csr: Path, *, whose: str, epoch: int, refused: bool
) -> None:
    issuer, store = authority.open_issuer(data_dir), NetworkStore(data_dir)
    roles = Roles(4, node("scribe"), 3, scribe_key=public_bytes(key("scribe")))
    store.save_roles(4, sign_roles(issuer.network, roles, issuer.signer).data)
    signer = issuer.signer if whose == "ca" else key("scribe")
    store.save_revocation(
        node("a"), sign_revocation(issuer.network, node("a"), signer, scribe_epoch=epoch, time=NOW).data
    )
    if not refused:
        assert signed(data_dir, csr).id == node("a")
        return
    with pytest.raises(Refused, match="key was revoked"):
        signed(data_dir, csr)
    with authority.open_ledger(data_dir, issuer) as ledger:
        assert ledger.entries()[-1].event == "node revoked"


def test_a_key_whose_revocation_is_damaged_is_refused_too(data_dir: Path, csr: Path) -> None:
    store = NetworkStore(data_dir)
    store.save_revocation(node("a"), b"said")
    (data_dir / "network" / f"revoked.{node('a')}").write_bytes(b"torn")
    with pytest.raises(Refused, match="key was revoked"):
        signed(data_dir, csr)


def test_without_the_newest_roles_nobody_knows_whose_word_counts_and_nothing_is_signed(
    data_dir: Path, csr: Path
) -> None:
    issuer, store = authority.open_issuer(data_dir), NetworkStore(data_dir)
    for epoch in (4, 5):
        store.save_roles(epoch, sign_roles(issuer.network, Roles(epoch), issuer.signer).data)
    (data_dir / "network" / "roles.5").write_bytes(b"torn")
    with pytest.raises(Damaged, match=r"roles\.5 is damaged"):
        signed(data_dir, csr)


def test_the_life_that_is_set_counts_by_hand_too(
    data_dir: Path, csr: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (data_dir / "config.toml").write_text("[ca]\ncert_life = 3600\n")
    assert signed(data_dir, csr).not_after == NOW + 3600
    (tmp_path / "second").write_bytes(build_csr(key("b")))
    monkeypatch.setenv("PULSE_CA_CERT_LIFE", "60")
    assert signed(data_dir, tmp_path / "second", None).not_after == NOW + 60
