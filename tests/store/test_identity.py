"""An identity on disk is whole, fits together, and names the file that does not."""

import os
import shutil
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from pulse.core.trust.authorities import sign_succession
from pulse.core.trust.ca import make_authority
from pulse.core.trust.identity import public_bytes
from pulse.core.trust.join import Floors
from pulse.errors import Damaged, NotFound, Refused
from pulse.store import identity
from pulse.store.files import open_data_dir, write_checked
from pulse.store.identity import Identity
from tests.authority import NOW, Ca, key

CA = Ca()
SECOND = make_authority(key("second"), "mynet", NOW, 2, CA.network.ca_hash)
IDENTITY = Identity(
    key=key("a"),
    certificate=CA.certificate("a", host="box"),
    authorities=(CA.authority.der,),
    successions=(sign_succession(CA.network, CA.key, SECOND),),
    pinned=True,
    token="0123456789ab",
    floors=Floors(1, 2, 3),
    time_floor=NOW,
    bootstrap=("relay.example.com:443",),
)


@pytest.fixture
def data_dir(tmp_path: Path) -> Path:
    return open_data_dir(tmp_path / "data")


def same(found: Identity, expected: Identity = IDENTITY) -> bool:
    return public_bytes(found.key) == public_bytes(expected.key) and replace(found, key=expected.key) == expected


def test_an_identity_comes_back_as_it_was_saved(data_dir: Path) -> None:
    identity.save(data_dir, IDENTITY)
    found = identity.load(data_dir)
    assert same(found)
    assert found.chain == [IDENTITY.certificate.der]
    assert found.key_der == IDENTITY.key_der
    assert {path.stat().st_mode & 0o777 for path in (data_dir / "identity").iterdir()} == {0o600}


def test_a_renewed_identity_replaces_the_old_one(data_dir: Path) -> None:
    identity.save(data_dir, IDENTITY)
    renewed = replace(IDENTITY, certificate=CA.certificate("a", not_after=NOW + 1))
    identity.save(data_dir, renewed)
    assert same(identity.load(data_dir), renewed)
    assert [path.name for path in data_dir.iterdir()] == ["identity"]


def test_between_the_two_names_of_a_crash_the_new_one_is_read_and_nothing_moved(data_dir: Path) -> None:
    identity.save(data_dir, IDENTITY)
    for beside in (".old", ".next"):
        shutil.copytree(data_dir / "identity", data_dir / f"identity{beside}")
    shutil.rmtree(data_dir / "identity")

    assert same(identity.read(data_dir))
    assert not (data_dir / "identity").exists()
    assert same(identity.load(data_dir))
    assert [each.name for each in data_dir.glob("identity*")] == ["identity"]


def test_a_machine_that_never_joined_is_told_how(data_dir: Path) -> None:
    with pytest.raises(NotFound, match="pulse join <invite>"):
        identity.load(data_dir)


def test_every_flip_and_every_cut_of_every_file_is_named(data_dir: Path) -> None:
    identity.save(data_dir, IDENTITY)
    for path in (data_dir / "identity").iterdir():
        whole = path.read_bytes()
        cuts = [whole[:end] for end in range(0, len(whole), 3)]
        flips = [whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :] for at in range(len(whole))]
        for data in cuts + flips:
            path.write_bytes(data)
            with pytest.raises(Damaged, match=rf"{path} is damaged(.|\n)*Put back a backup"):
                identity.load(data_dir)
        path.write_bytes(whole)
    assert same(identity.load(data_dir))


def test_every_missing_file_is_named(data_dir: Path) -> None:
    identity.save(data_dir, IDENTITY)
    for path in list((data_dir / "identity").iterdir()):
        whole = path.read_bytes()
        path.unlink()
        with pytest.raises(Damaged, match=f"{path} is missing"):
            identity.load(data_dir)
        path.write_bytes(whole)
        path.chmod(0o600)


def test_a_readable_key_and_a_linked_directory_are_refused(data_dir: Path) -> None:
    identity.save(data_dir, IDENTITY)
    (data_dir / "identity" / "key.pem").chmod(0o644)
    with pytest.raises(Refused, match="chmod 600"):
        identity.load(data_dir)
    (data_dir / "identity").rename(data_dir / "elsewhere")
    (data_dir / "identity").symlink_to(data_dir / "elsewhere")
    with pytest.raises(Refused, match="symbolic link"):
        identity.load(data_dir)


@pytest.mark.parametrize(
    "wrong",
    [
        replace(IDENTITY, key=key("b")),
        replace(IDENTITY, authorities=(Ca("other").authority.der,)),
        replace(IDENTITY, authorities=()),
    ],
)
def test_parts_that_do_not_belong_together_are_damage(data_dir: Path, wrong: Identity) -> None:
    identity.save(data_dir, wrong)
    with pytest.raises(Damaged):
        identity.load(data_dir)


def test_a_join_begun_before_goes_on_with_its_key(data_dir: Path) -> None:
    first = identity.join_key(data_dir, key("a"))
    again = identity.join_key(data_dir, key("b"))
    assert public_bytes(first) == public_bytes(again) == public_bytes(key("a"))
    identity.save(data_dir, IDENTITY)
    assert public_bytes(identity.join_key(data_dir, key("b"))) == public_bytes(key("b"))


def test_a_damaged_join_key_is_named(data_dir: Path) -> None:
    identity.join_key(data_dir, key("a"))
    (data_dir / "join.key").write_bytes(b"x")
    with pytest.raises(Damaged, match=r"rm .*join\.key"):
        identity.join_key(data_dir, key("b"))


@pytest.mark.parametrize(
    ("pem", "complaint"),
    [
        (b"no key", "holds no key"),
        (
            ec.generate_private_key(ec.SECP256R1()).private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()),
            "no Ed25519 key",
        ),
    ],
)
def test_a_key_of_another_kind_is_named(data_dir: Path, pem: bytes, complaint: str) -> None:
    write_checked(data_dir / "join.key", "join-key", pem)
    with pytest.raises(Damaged, match=complaint):
        identity.join_key(data_dir, key("b"))


def test_fields_pulse_never_wrote_are_named(data_dir: Path) -> None:
    identity.save(data_dir, IDENTITY)
    write_checked(data_dir / "identity" / "network", "identity", b'{"label": 7}')
    with pytest.raises(Damaged, match="network cannot be read"):
        identity.load(data_dir)


@pytest.mark.parametrize("call", range(1, 25))
def test_a_crash_at_any_rename_or_sync_leaves_the_old_or_the_new_one(
    data_dir: Path, monkeypatch: pytest.MonkeyPatch, call: int
) -> None:
    identity.save(data_dir, IDENTITY)
    renewed = replace(IDENTITY, certificate=CA.certificate("a", not_after=NOW + 1))
    crash_at(monkeypatch, call)
    with suppress(Crash):
        identity.save(data_dir, renewed)
    monkeypatch.undo()
    found = identity.load(data_dir)
    assert same(found) or same(found, renewed)
    identity.save(data_dir, renewed)
    assert same(identity.load(data_dir), renewed)


class Crash(BaseException):
    """The process ends here."""


def crash_at(monkeypatch: pytest.MonkeyPatch, call: int) -> None:
    """End at the given call of what changes a disk; what clean-up would do then does not happen."""
    count = 0

    def counted(module: object, name: str) -> None:
        real = getattr(module, name)

        def wrapper(*args: object, **kwargs: object) -> object:
            nonlocal count
            count += 1
            if count >= call:
                raise Crash
            return real(*args, **kwargs)

        monkeypatch.setattr(module, name, wrapper)

    for module, name in ((os, "fsync"), (Path, "rename"), (Path, "unlink"), (shutil, "rmtree")):
        counted(module, name)
