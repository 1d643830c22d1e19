"""A CA on disk appears whole, and a damaged part of it is named."""

from pathlib import Path

import pytest

from pulse.core.trust.identity import key_hash, public_bytes
from pulse.errors import ConfigError, Conflict, Damaged, Refused
from pulse.store import authority
from pulse.store.files import open_data_dir, write_checked
from tests.authority import MESH, NOW


@pytest.fixture
def data_dir(tmp_path: Path) -> Path:
    path = open_data_dir(tmp_path / "data")
    authority.found(path, "mynet", MESH, NOW)
    return path


def test_a_founded_ca_signs_with_its_key_in_its_range(data_dir: Path) -> None:
    assert authority.exists(data_dir)
    issuer = authority.open_issuer(data_dir)
    assert issuer.network.name == "mynet"
    assert issuer.network.ca_hash == key_hash(public_bytes(issuer.signer))
    assert issuer.mesh_cidr == MESH
    with authority.open_ledger(data_dir, issuer) as ledger:
        assert ledger.newest_time() == NOW


def test_a_ca_is_founded_once(data_dir: Path) -> None:
    with pytest.raises(Conflict, match="there already"):
        authority.found(data_dir, "mynet", MESH, NOW)


def test_a_name_that_cannot_be_leaves_nothing_behind(tmp_path: Path) -> None:
    path = open_data_dir(tmp_path / "data")
    with pytest.raises(ConfigError):
        authority.found(path, "My Net", MESH, NOW)
    assert not authority.exists(path)


@pytest.mark.parametrize("name", ["key", "certificate", "range"])
def test_every_flip_in_a_file_of_the_ca_is_named(data_dir: Path, name: str) -> None:
    path = data_dir / "ca" / name
    whole = path.read_bytes()
    for at in range(0, len(whole), 7):
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :])
        with pytest.raises(Damaged, match=f"{path} is damaged"):
            authority.open_issuer(data_dir)


def test_a_range_pulse_never_wrote_is_named(data_dir: Path) -> None:
    for text in (b"8.8.8.0/24", b"\xff"):
        write_checked(data_dir / "ca" / "range", "mesh-range", text)
        with pytest.raises(Damaged, match="range"):
            authority.open_issuer(data_dir)


def test_the_key_of_another_ca_is_named(data_dir: Path, tmp_path: Path) -> None:
    other = open_data_dir(tmp_path / "other")
    authority.found(other, "mynet", MESH, NOW)
    (data_dir / "ca" / "key").write_bytes((other / "ca" / "key").read_bytes())
    with pytest.raises(Damaged, match="do not belong together"):
        authority.open_issuer(data_dir)


def test_a_directory_open_to_others_is_refused(data_dir: Path) -> None:
    (data_dir / "ca").chmod(0o755)
    with pytest.raises(Refused, match="chmod 700"):
        authority.open_issuer(data_dir)
