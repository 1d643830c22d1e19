"""How state reaches the disk: whole, durable, private, and found damaged rather than believed.

A write goes to a new file, is synced, renamed over the old one, and the directory is synced. Small state
files begin with a line that holds the SHA-256 of the rest. Invariant: no file is ever partial, none is
looser than 0600 whatever the umask, and nothing is read through a symbolic link.
"""

import errno
import fcntl
import glob
import hashlib
import os
import secrets
import shutil
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final, Self, TypeVar

import msgspec

from pulse.errors import Conflict, Damaged, NotFound, PulseError, Refused, SystemRefused

PRIVATE_FILE: Final = 0o600
PRIVATE_DIRECTORY: Final = 0o700
STATE_LIMIT: Final = 64 * 1024 * 1024
_NEW: Final = ".new"
_LOCK: Final = "lock"
_OTHERS: Final = 0o077

_T = TypeVar("_T")


class DataLock:
    """The data directory is ours alone until `close`."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor: int | None = descriptor

    def close(self) -> None:
        """Let another daemon have it."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def open_data_dir(path: Path) -> Path:
    """Make the data directory if need be, and see that it is private and ours; raises Refused or SystemRefused."""
    with translated(f"cannot use {path}"):
        if not path.exists() and not path.is_symlink():
            path.mkdir(mode=PRIVATE_DIRECTORY, parents=True)
            path.chmod(PRIVATE_DIRECTORY)
        check_directory(path)
    return path


def check_directory(path: Path) -> None:
    """Raise NotFound or Refused unless `path` is a real directory of ours that others cannot enter."""
    with translated(f"cannot use {path}"):
        found = path.lstat()
    if stat.S_ISLNK(found.st_mode):
        raise Refused(f"{path} is a symbolic link.\nGive --data-dir the directory itself.")
    if not stat.S_ISDIR(found.st_mode):
        raise Refused(f"{path} is no directory.\nGive --data-dir another one.")
    _check_owner(path, found)
    if found.st_mode & _OTHERS:
        raise Refused(f"{path} is open to other users.\nClose it: chmod 700 {path}")


@contextmanager
def as_owner(data_dir: Path) -> Iterator[None]:
    """Root deals with a service's files as the service's user, by whom they have to be readable."""
    try:
        owner = data_dir.stat().st_uid
    except OSError:
        owner = os.geteuid()
    if os.geteuid() != 0 or owner == 0:
        yield
        return
    os.seteuid(owner)
    try:
        yield
    finally:
        os.seteuid(0)


def lock(data_dir: Path) -> DataLock:
    """Take the data directory for this process; raises Conflict that names the process which has it."""
    path = data_dir / _LOCK
    with translated(f"cannot lock {path}"):
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, PRIVATE_FILE)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            holder = os.read(descriptor, 32).decode("ascii", "replace").strip() or "unknown"
            os.close(descriptor)
            raise Conflict(
                f"another pulse (process {holder}) uses {data_dir}.\n"
                "See it: pulse status. Other settings for it: config.toml, then pulse restart. Its end: pulse stop.\n"
                "A second node takes another --data-dir."
            ) from error
        os.fchmod(descriptor, PRIVATE_FILE)
        os.ftruncate(descriptor, 0)
        os.write(descriptor, f"{os.getpid()}\n".encode())
        _sweep(data_dir)
    return DataLock(descriptor)


def write_file(path: Path, data: bytes) -> None:
    """Replace `path` by a private file that holds `data`: durable when this returns, whole at any moment."""
    fresh = path.with_name(f".{path.name}.{secrets.token_hex(4)}{_NEW}")
    with translated(f"cannot write {path}"):
        try:
            _write_new(fresh, data)
            fresh.rename(path)
        except OSError:
            fresh.unlink(missing_ok=True)
            raise
        sync_directory(path.parent)


def read_file(path: Path, limit: int = STATE_LIMIT) -> bytes:
    """All of a private file of ours; raises NotFound, Refused (link, owner, mode), Damaged (too long)."""
    with translated(f"cannot read {path}"), os.fdopen(_open_private(path), "rb") as file:
        # No buffer as long as the limit: most files are far shorter.
        data = file.read() if os.fstat(file.fileno()).st_size <= limit else None
    if data is None or len(data) > limit:
        raise Damaged(f"{path} is longer than pulse ever writes it ({limit} bytes).\nPut back a backup, or remove it.")
    return data


def check_private(path: Path) -> None:
    """Raise NotFound or Refused unless `path` is a private file of ours, as `read_file` wants it."""
    with translated(f"cannot read {path}"):
        os.close(_open_private(path))


def write_checked(path: Path, kind: str, body: bytes) -> None:
    """Write `body` under a first line `pulse <kind> 1 <SHA-256 of it>`."""
    write_file(path, checked(kind, body))


def read_checked(path: Path, kind: str, next_step: str) -> bytes:
    """The body of a file of `write_checked`; raises Damaged, which ends in `next_step`, if one bit is off."""
    data = read_file(path)
    body = data[data.find(b"\n") + 1 :]
    if data != checked(kind, body):
        raise Damaged(f"{path} is damaged: it is not what pulse wrote.\n{next_step}")
    return body


def read_or_warn(path: Path, kind: str, next_step: str, decode: Callable[[bytes], _T]) -> tuple[_T | None, str | None]:
    """What `decode` makes of a file of `write_checked`; else None and, unless there is no such file, a warning to log.

    For what a node can do without: nothing that the disk does not give keeps it from starting.
    """
    try:
        return decode(read_checked(path, kind, next_step)), None
    except NotFound:
        return None, None
    except PulseError as error:
        return None, str(error)
    except msgspec.DecodeError as error:
        return None, f"{path} cannot be read: {error}.\n{next_step}"


def checked(kind: str, body: bytes) -> bytes:
    """What `write_checked` writes."""
    return f"pulse {kind} 1 {hashlib.sha256(body).hexdigest()}\n".encode() + body


@contextmanager
def new_directory(target: Path) -> Iterator[Path]:
    """Fill the directory this yields; it appears as `target` only when all in it is on disk.

    Raises Conflict if `target` is there already.
    """
    fresh = target.with_name(target.name + _NEW)
    with translated(f"cannot write {target}"):
        shutil.rmtree(fresh, ignore_errors=True)
        fresh.mkdir(mode=PRIVATE_DIRECTORY)
        fresh.chmod(PRIVATE_DIRECTORY)
        try:
            yield fresh
            sync_directory(fresh)
            if target.exists():
                raise Conflict(f"{target} is there already.\nMove it away if it is no longer wanted.")
            fresh.rename(target)
        except BaseException:
            shutil.rmtree(fresh, ignore_errors=True)
            raise
        sync_directory(target.parent)


@contextmanager
def replaced_directory(target: Path) -> Iterator[Path]:
    """Like `new_directory`, but takes the place of a `target` that is there; `finish_replacing` before reading it."""
    fresh, old = _beside(target)
    finish_replacing(target)
    with translated(f"cannot write {target}"):
        shutil.rmtree(fresh, ignore_errors=True)
        with new_directory(fresh) as directory:
            yield directory
        if target.exists():
            target.rename(old)
        fresh.rename(target)
        sync_directory(target.parent)
        shutil.rmtree(old, ignore_errors=True)


def finish_replacing(target: Path) -> None:
    """A crash between the two renames of `replaced_directory` left the new one complete: put it in its place."""
    _, old = _beside(target)
    with translated(f"cannot write {target}"):
        if (found := newest(target)) != target:
            found.rename(target)
            sync_directory(target.parent)
        if target.exists():
            shutil.rmtree(old, ignore_errors=True)


def newest(target: Path) -> Path:
    """Where the newest whole `target` lies: in its place, or still beside it after such a crash."""
    fresh, old = _beside(target)
    return fresh if not target.exists() and old.exists() and fresh.exists() else target


def _beside(target: Path) -> tuple[Path, Path]:
    return target.with_name(target.name + ".next"), target.with_name(target.name + ".old")


def sync_directory(path: Path) -> None:
    """Make renames inside `path` durable."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _write_new(path: Path, data: bytes) -> None:
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    with os.fdopen(os.open(path, flags, PRIVATE_FILE), "wb") as file:
        os.fchmod(file.fileno(), PRIVATE_FILE)
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def _open_private(path: Path) -> int:
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK)
    try:
        found = os.fstat(descriptor)
        if not stat.S_ISREG(found.st_mode):
            raise Refused(f"{path} is no plain file.\nMove it away.")
        _check_owner(path, found)
        if found.st_mode & _OTHERS:
            raise Refused(f"{path} can be read by other users.\nClose it: chmod 600 {path}")
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def _check_owner(path: Path, found: os.stat_result) -> None:
    if found.st_uid != os.geteuid():
        raise Refused(
            f"{path} belongs to uid {found.st_uid}, pulse runs as uid {os.geteuid()}.\n"
            "Run pulse as that user, or give --data-dir another directory."
        )


def sweep_beside(path: Path) -> None:
    """Remove what writes of `path` that a crash cut short left beside it."""
    for left in path.parent.glob(f".{glob.escape(path.name)}.*{_NEW}"):
        left.unlink(missing_ok=True)


def _sweep(data_dir: Path) -> None:
    for left in data_dir.rglob(f".*{_NEW}"):
        left.unlink(missing_ok=True)


@contextmanager
def translated(doing: str) -> Iterator[None]:
    """What the system refuses inside is told as an error of ours that says what was being done."""
    try:
        yield
    except FileNotFoundError as error:
        raise NotFound(f"{doing}: it is not there.") from error
    except OSError as error:
        if error.errno == errno.ELOOP:
            raise Refused(f"{doing}: it is a symbolic link.\nPut the file itself there.") from error
        raise SystemRefused(
            f"{doing}: {error.strerror}.\nSee to the disk and its permissions, then try again."
        ) from error
