"""Signed objects on disk: the newest that can be read, and never an empty answer for a damaged one."""

import errno
from pathlib import Path

import pytest

from pulse.errors import Damaged
from pulse.store.files import open_data_dir
from pulse.store.netconfig import Loaded, LoadedRevocations, NetworkStore
from tests.authority import node


@pytest.fixture
def store(tmp_path: Path) -> NetworkStore:
    return NetworkStore(open_data_dir(tmp_path / "data"))


def file(tmp_path: Path, name: str) -> Path:
    return tmp_path / "data" / "network" / name


def test_nothing_was_ever_stored(store: NetworkStore) -> None:
    assert store.load_config() == store.load_roles() == Loaded(None)
    assert store.load_revocations() == LoadedRevocations((), ())


def test_the_highest_number_is_the_newest_whatever_the_order(store: NetworkStore) -> None:
    for epoch, generation in ((0, 1), (2, 9), (2, 10), (1, 99)):
        store.save_config(epoch, generation, f"{epoch}.{generation}".encode())
    store.save_roles(9, b"nine")
    store.save_roles(10, b"ten")
    assert store.load_config() == Loaded(b"2.10")
    assert store.load_roles() == Loaded(b"ten")


def test_five_previous_ones_are_kept(store: NetworkStore, tmp_path: Path) -> None:
    for generation in range(1, 20):
        store.save_config(1, generation, b"x")
    kept = sorted(path.name for path in file(tmp_path, "").glob("config.*"))
    assert kept == [f"config.1.{generation}" for generation in range(14, 20)]


def test_a_disk_that_refuses_to_let_go_of_an_old_one_keeps_the_new_one(
    store: NetworkStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    for generation in range(1, 7):
        store.save_config(1, generation, b"x")
    with monkeypatch.context() as broken:
        broken.setattr(Path, "unlink", lambda *_, **__: (_ for _ in ()).throw(OSError(errno.EIO, "Input/output error")))
        store.save_config(1, 7, b"y")
    assert store.load_config() == Loaded(b"y")


def test_of_one_number_the_later_bytes_stay(store: NetworkStore) -> None:
    store.save_config(1, 1, b"higher hash")
    store.save_config(1, 1, b"lower hash")
    assert store.load_config() == Loaded(b"lower hash")


def test_a_damaged_config_falls_back_aloud(store: NetworkStore, tmp_path: Path) -> None:
    store.save_config(1, 1, b"one")
    store.save_config(1, 2, b"two")
    file(tmp_path, "config.1.2").write_bytes(b"pulse config 1 00\ntwo")
    loaded = store.load_config()
    assert loaded.data == b"one"
    assert loaded.warning is not None
    assert "config.1.2 is damaged" in loaded.warning


def test_with_every_config_damaged_it_refuses(store: NetworkStore, tmp_path: Path) -> None:
    store.save_config(1, 1, b"one")
    file(tmp_path, "config.1.1").write_bytes(b"")
    with pytest.raises(Damaged, match=r"config\.1\.1 is damaged"):
        store.load_config()


def test_files_with_other_names_are_left_alone(store: NetworkStore, tmp_path: Path) -> None:
    file(tmp_path, "config.txt").write_bytes(b"notes")
    assert store.load_config() == Loaded(None)


def test_a_damaged_revocation_keeps_its_node_out(store: NetworkStore, tmp_path: Path) -> None:
    store.save_revocation(node("a"), b"of a")
    store.save_revocation(node("b"), b"of b")
    store.save_revocation(node("b"), b"of b by the CA")
    file(tmp_path, f"revoked.{node('a')}").write_bytes(b"")
    assert store.load_revocations() == LoadedRevocations((b"of b by the CA",), (node("a"),))


def test_a_revocation_that_counts_no_more_is_forgotten_though_damaged(store: NetworkStore, tmp_path: Path) -> None:
    store.save_revocation(node("a"), b"of a")
    file(tmp_path, f"revoked.{node('a')}").write_bytes(b"")
    for _ in range(2):
        store.drop_revocation(node("a"))
    assert store.load_revocations() == LoadedRevocations((), ())


def test_a_damaged_revocation_without_an_id_is_named(store: NetworkStore, tmp_path: Path) -> None:
    file(tmp_path, "revoked.x").write_bytes(b"")
    file(tmp_path, "revoked.x").chmod(0o600)
    with pytest.raises(Damaged, match=r"revoked\.x"):
        store.load_revocations()


def test_objects_survive_a_restart(store: NetworkStore, tmp_path: Path) -> None:
    store.save_roles(1, b"roles")
    assert NetworkStore(tmp_path / "data").load_roles() == Loaded(b"roles")


def test_the_highest_generation_is_known_though_its_file_is_damaged(store: NetworkStore, tmp_path: Path) -> None:
    assert store.highest_generation() == 0

    store.save_config(1, 2, b"two")
    store.save_config(1, 7, b"seven")
    file(tmp_path, "config.1.7").write_bytes(b"torn")
    assert store.load_config().data == b"two"
    assert store.highest_generation() == 7


def test_what_is_there_already_is_not_written_again(store: NetworkStore, tmp_path: Path) -> None:
    store.save_config(1, 1, b"one")
    store.save_revocation(node("a"), b"of a")
    before = [file(tmp_path, name).stat().st_ino for name in ("config.1.1", f"revoked.{node('a')}")]
    store.save_config(1, 1, b"one")
    store.save_revocation(node("a"), b"of a")
    assert [file(tmp_path, name).stat().st_ino for name in ("config.1.1", f"revoked.{node('a')}")] == before

    file(tmp_path, "config.1.1").write_bytes(b"torn")
    store.save_config(1, 1, b"one")
    assert store.load_config() == Loaded(b"one")
