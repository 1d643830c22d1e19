"""A certificate brought by hand is installed on the machine it is for, and on no other, nor one that does not fit."""

from dataclasses import replace
from ipaddress import IPv4Address
from pathlib import Path

import pytest

from pulse import certfile, clock, custody
from pulse.core.trust.ca import Issuer, make_authority
from pulse.core.trust.identity import mesh_v6
from pulse.core.types import MeshAddresses
from pulse.errors import Conflict, NotFound, PulseError, Refused
from pulse.store import authority, identity
from pulse.store import rotation as store
from pulse.store.files import lock, open_data_dir
from pulse.store.identity import Identity
from tests.authority import MESH, NOW, Ca, key

DAY = 86400.0


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> dict[str, float]:
    now = {"now": NOW}
    monkeypatch.setattr(clock, "wall", lambda: now["now"])
    return now


@pytest.fixture
def ca(tmp_path: Path, world: dict[str, float]) -> Path:
    place = open_data_dir(tmp_path / "ca")
    authority.found(place, "mynet", MESH, world["now"])
    return place


@pytest.fixture
def machine(tmp_path: Path, world: dict[str, float]) -> Path:
    return open_data_dir(tmp_path / "machine")


def signed(ca: Path, machine: Path, name: str = "db") -> Path:
    """The file that the CA makes of the machine's request."""
    csr, out = ca.parent / "request.pem", ca.parent / "cert.pem"
    csr.write_bytes(certfile.request(machine))
    out.write_text(custody.sign(ca, csr, name=name, tags=(), force_time=False).pem, encoding="ascii")
    return out


def replaced(ca: Path) -> None:
    """The CA's key is replaced, and the old one retired."""
    store.begin(ca, authority.open_issuer(ca), clock.wall())
    store.sign_with_next_key(ca)
    store.retire_key(ca)
    store.finish(ca)


def test_a_machine_in_no_network_becomes_a_member(ca: Path, machine: Path) -> None:
    made = certfile.install(machine, signed(ca, machine))
    assert (made.name, made.network, made.is_new) == ("db", "mynet", True)
    held = identity.load(machine)
    assert held.certificate.node_id == made.id
    assert held.authorities == (authority.open_issuer(ca).authority.der,)
    assert not (machine / "join.key").exists()


def test_a_member_gets_its_next_one_and_keeps_its_key(ca: Path, machine: Path, world: dict[str, float]) -> None:
    certfile.install(machine, signed(ca, machine))
    before = identity.load(machine)
    world["now"] += DAY
    made = certfile.install(machine, later := signed(ca, machine))
    assert not made.is_new
    assert identity.load(machine).certificate.not_before > before.certificate.not_before
    assert identity.load(machine).certificate.public_key == before.certificate.public_key
    assert certfile.install(machine, later).not_after == made.not_after, "once more is no harm"


def test_a_ca_whose_key_was_replaced_proves_the_new_one(ca: Path, machine: Path, world: dict[str, float]) -> None:
    certfile.install(machine, signed(ca, machine))
    first = identity.load(machine)
    world["now"] += DAY
    old = signed(ca, machine).read_text(encoding="ascii")
    replaced(ca)
    made = certfile.install(machine, signed(ca, machine))
    held = identity.load(machine)
    assert made.ca_hash == first.certificate.network.ca_hash
    assert held.authorities != first.authorities
    assert len(held.successions) == 2
    (ca.parent / "old.pem").write_text(old, encoding="ascii")
    with pytest.raises(Refused, match="not signed by the CA"):
        certfile.install(machine, ca.parent / "old.pem")


def test_what_does_not_fit_is_refused_and_nothing_is_changed(
    ca: Path, machine: Path, tmp_path: Path, world: dict[str, float]
) -> None:
    other = open_data_dir(tmp_path / "other")
    for file, complaint in (
        (signed(ca, other, "other"), "another key"),
        (tmp_path / "request.pem", "holds no certificate"),
    ):
        with pytest.raises(Refused, match=complaint):
            certfile.install(machine, file)
    with pytest.raises(NotFound, match="cannot read"):
        certfile.install(machine, tmp_path / "nothing")
    good = signed(ca, machine)
    with lock(machine), pytest.raises(Conflict, match="another pulse"):
        certfile.install(machine, good)
    for days, complaint in ((100, "ended at"), (-100, "not valid before")):
        world["now"] = NOW + days * DAY
        with pytest.raises(Refused, match=complaint):
            certfile.install(machine, good)
    assert not (machine / "identity").exists()


def test_neither_another_network_nor_another_ca_nor_an_earlier_certificate_takes_the_place_of_what_is_there(
    ca: Path, machine: Path, tmp_path: Path, world: dict[str, float]
) -> None:
    before = signed(ca, machine).read_text(encoding="ascii")
    world["now"] += DAY
    certfile.install(machine, signed(ca, machine))
    held = identity.load(machine)
    alien = tmp_path / "alien.pem"

    def refused(text: str, kind: type[PulseError], complaint: str) -> None:
        alien.write_text(text, encoding="ascii")
        with pytest.raises(kind, match=complaint):
            certfile.install(machine, alien)

    refused(forged(held, Ca("foreign", "mynet").issuer), Refused, "is of network mynet")
    forger = make_authority(key("forger"), "mynet", NOW, 2, held.certificate.network.ca_hash)
    refused(forged(held, Issuer(key("forger"), forger, MESH)), Refused, "not signed by the CA")
    refused(before, Conflict, "later certificate")
    assert identity.load(machine) == held


def forged(held: Identity, issuer: Issuer) -> str:
    """What another CA would make for the same key."""
    addresses = MeshAddresses(IPv4Address("10.100.1.2"), mesh_v6(issuer.network, held.certificate.node_id))
    grant = replace(Ca("any").grant("x"), public_key=held.certificate.public_key, addresses=addresses)
    return certfile.bundle(issuer.issue(grant, 3), [issuer.authority.der], [])
