"""Files are whole, private and ours, or the error names them."""

import os
import stat
from pathlib import Path

import pytest

from pulse.errors import Conflict, Damaged, NotFound, Refused, SystemRefused
from pulse.store.files import (
    check_private,
    checked,
    finish_replacing,
    lock,
    new_directory,
    open_data_dir,
    read_checked,
    read_file,
    replaced_directory,
    write_checked,
    write_file,
)


@pytest.fixture
def data_dir(tmp_path: Path) -> Path:
    return open_data_dir(tmp_path / "data")


def mode(path: Path) -> int:
    return stat.S_IMODE(path.lstat().st_mode)


def test_a_new_data_directory_is_private_whatever_the_umask(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        path = open_data_dir(tmp_path / "deep" / "data")
        write_file(path / "a", b"x")
        with new_directory(path / "b"):
            pass
    finally:
        os.umask(before)
    assert (mode(path), mode(path / "a"), mode(path / "b")) == (0o700, 0o600, 0o700)
    assert open_data_dir(path) == path


def test_a_tight_umask_does_not_lock_us_out(tmp_path: Path) -> None:
    before = os.umask(0o777)
    try:
        path = open_data_dir(tmp_path / "data")
        write_file(path / "a", b"x")
    finally:
        os.umask(before)
    assert (mode(path), mode(path / "a")) == (0o700, 0o600)


def test_a_directory_open_to_others_a_link_or_a_file_is_refused(tmp_path: Path) -> None:
    loose, link, plain = tmp_path / "loose", tmp_path / "link", tmp_path / "plain"
    loose.mkdir(mode=0o755)
    link.symlink_to(open_data_dir(tmp_path / "real"))
    plain.write_text("")
    for path, complaint in ((loose, "chmod 700"), (link, "symbolic link"), (plain, "no directory")):
        with pytest.raises(Refused, match=complaint):
            open_data_dir(path)


def test_a_directory_of_another_user_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = open_data_dir(tmp_path / "data")
    write_file(path / "a", b"x")
    monkeypatch.setattr(os, "geteuid", lambda: 12345)
    with pytest.raises(Refused, match="pulse runs as uid 12345"):
        open_data_dir(path)
    with pytest.raises(Refused, match="pulse runs as uid 12345"):
        read_file(path / "a")


def test_a_data_directory_that_cannot_be_made_says_why(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(SystemRefused, match=r"cannot use .*/file/data: Not a directory"):
        open_data_dir(tmp_path / "file" / "data")


def test_a_second_daemon_is_told_who_has_the_directory(data_dir: Path) -> None:
    with lock(data_dir), pytest.raises(Conflict, match=f"process {os.getpid()}"):
        lock(data_dir)
    lock(data_dir).close()


def test_taking_the_lock_sweeps_what_a_crash_left(data_dir: Path) -> None:
    (data_dir / "sub").mkdir()
    left = [data_dir / ".a.1234.new", data_dir / "sub" / ".b.1234.new"]
    for path in left:
        path.write_text("half")
    write_file(data_dir / "kept", b"x")
    held = lock(data_dir)
    held.close()
    held.close()
    assert not any(path.exists() for path in left)
    assert read_file(data_dir / "kept") == b"x"


def test_a_file_is_replaced_whole_and_leaves_nothing_beside_it(data_dir: Path) -> None:
    write_file(data_dir / "a", b"one")
    write_file(data_dir / "a", b"two")
    assert read_file(data_dir / "a") == b"two"
    assert [path.name for path in data_dir.iterdir()] == ["a"]


def test_a_write_that_fails_leaves_the_old_file(data_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_file(data_dir / "a", b"one")

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(SystemRefused, match=r"cannot write .*/a: No space left"):
        write_file(data_dir / "a", b"two")
    monkeypatch.undo()
    assert read_file(data_dir / "a") == b"one"
    assert [path.name for path in data_dir.iterdir()] == ["a"]


def test_links_directories_and_readable_secrets_are_not_read(data_dir: Path) -> None:
    write_file(data_dir / "a", b"x")
    (data_dir / "link").symlink_to(data_dir / "a")
    (data_dir / "directory").mkdir()
    write_file(data_dir / "loose", b"x")
    (data_dir / "loose").chmod(0o640)
    for name, complaint in (("link", "symbolic link"), ("directory", "no plain file"), ("loose", "chmod 600")):
        with pytest.raises(Refused, match=complaint):
            read_file(data_dir / name)
        with pytest.raises(Refused, match=complaint):
            check_private(data_dir / name)
    with pytest.raises(NotFound, match="missing: it is not there"):
        read_file(data_dir / "missing")


def test_a_file_longer_than_it_can_be_is_named(data_dir: Path) -> None:
    write_file(data_dir / "a", b"12345")
    with pytest.raises(Damaged, match="longer than pulse ever writes"):
        read_file(data_dir / "a", limit=4)


def test_every_flip_and_every_cut_of_a_checked_file_is_noticed(data_dir: Path) -> None:
    path = data_dir / "a"
    write_checked(path, "thing", b"body\nof two lines")
    whole = path.read_bytes()
    assert read_checked(path, "thing", "Do this.") == b"body\nof two lines"
    damaged = [whole[:end] for end in range(len(whole))]
    damaged += [
        whole[:at] + bytes([whole[at] ^ flip]) + whole[at + 1 :] for at in range(len(whole)) for flip in (1, 128)
    ]
    for data in (*damaged, whole + b"x", checked("other", b"body")):
        path.write_bytes(data)
        with pytest.raises(Damaged, match=r"/a is damaged(.|\n)*Do this\."):
            read_checked(path, "thing", "Do this.")


def write_and_loosen(path: Path) -> Path:
    write_file(path, b"x")
    path.chmod(0o644)
    return path


def test_a_new_directory_appears_whole_or_not_at_all(data_dir: Path) -> None:
    target = data_dir / "made"
    with pytest.raises(Refused), new_directory(target) as directory:
        read_file(write_and_loosen(directory / "a"))
    assert list(data_dir.iterdir()) == []
    with new_directory(target) as directory:
        write_file(directory / "a", b"x")
        assert not target.exists()
    assert read_file(target / "a") == b"x"
    with pytest.raises(Conflict, match="there already"), new_directory(target):
        pass


def test_a_replaced_directory_holds_only_what_is_new(data_dir: Path) -> None:
    target = data_dir / "made"
    for name in ("a", "b"):
        with replaced_directory(target) as directory:
            write_file(directory / name, b"x")
    assert [path.name for path in target.iterdir()] == ["b"]
    assert [path.name for path in data_dir.iterdir()] == ["made"]


def test_a_crash_between_the_two_renames_is_finished(data_dir: Path) -> None:
    target = data_dir / "made"
    for name, path in (("old", data_dir / "made.old"), ("new", data_dir / "made.next")):
        path.mkdir(mode=0o700)
        write_file(path / name, b"x")
    finish_replacing(target)
    assert [path.name for path in target.iterdir()] == ["new"]
    assert [path.name for path in data_dir.iterdir()] == ["made"]
