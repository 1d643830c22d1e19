"""The ledger's file: sqlite in WAL mode with synchronous=FULL, private, checked when opened.

Beside `ledger.sqlite` lies `journal.head`, rewritten after each commit that added to the journal: sqlite by
itself forgets committed work without a word if its -wal file is lost.
Invariant: a file that is not as pulse wrote it raises Damaged; nothing is repaired or made anew.
"""

import os
import sqlite3
from collections import Counter
from collections.abc import Iterator
from contextlib import closing, contextmanager
from ipaddress import AddressValueError
from pathlib import Path
from typing import Final, Self
from urllib.parse import quote

import msgspec

from pulse.core.types import Network
from pulse.errors import Conflict, Damaged, NotFound, PulseError, SystemRefused
from pulse.store import journal
from pulse.store.files import PRIVATE_FILE, check_private, sync_directory
from pulse.store.journal import Head
from pulse.store.register import SCHEMA

VERSION: Final = 1
APPLICATION: Final = 0x706C7365
"""`plse` in sqlite's header: this file is a ledger of pulse."""

BUSY_SECONDS: Final = 30.0
_BACKUP: Final = "Put back a backup of the whole directory, then: pulse ca log --verify"
_SYSTEM: Final = frozenset(
    {
        sqlite3.SQLITE_FULL,
        sqlite3.SQLITE_IOERR,
        sqlite3.SQLITE_READONLY,
        sqlite3.SQLITE_CANTOPEN,
        sqlite3.SQLITE_BUSY,
        sqlite3.SQLITE_LOCKED,
        sqlite3.SQLITE_PERM,
        sqlite3.SQLITE_NOMEM,
    }
)

_FAULTS: Final = (sqlite3.Error, UnicodeDecodeError)
"""What reading a damaged file raises: sqlite's words about one may quote bytes that are no text."""


class Database:
    """An open ledger file; used from one thread."""

    def __init__(self, path: Path, connection: sqlite3.Connection) -> None:
        self.path, self.connection = path, connection
        self.head_path = path.with_name("journal.head")
        self._head = Head()

    @classmethod
    def create(cls, path: Path, network: Network, now: float) -> Self:
        """A new, empty ledger; raises Conflict if there is one."""
        try:
            os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, PRIVATE_FILE))
        except FileExistsError as error:
            raise Conflict(f"{path} is there already.\nMove its directory away to make a new CA.") from error
        except OSError as error:
            raise SystemRefused(f"cannot write {path}: {error.strerror}") from error
        path.chmod(PRIVATE_FILE)
        database = cls(path, _connect(path))
        with database.translated():
            database.connection.execute("PRAGMA journal_mode = WAL")
        with database.transaction() as connection:
            for statement in SCHEMA:
                connection.execute(statement)
            connection.executemany(
                "INSERT INTO meta VALUES (?, ?)", (("network", network.label), ("newest_time", float(now)))
            )
            connection.execute(f"PRAGMA application_id = {APPLICATION}")
            connection.execute(f"PRAGMA user_version = {VERSION}")
            journal.append(connection, now, "ledger made", {"network": network.name})
        sync_directory(path.parent)
        return database

    @classmethod
    def open(cls, path: Path, network: Network) -> Self:
        """The ledger of `network`; raises NotFound, Refused, Damaged or SystemRefused that names the file."""
        if not path.exists():
            raise NotFound(f"the CA's ledger {path} is missing.\n{_BACKUP}")
        for part in (path, path.with_name(path.name + "-wal"), path.with_name(path.name + "-shm")):
            if part.exists() or part.is_symlink():
                check_private(part)
        database = cls(path, _connect(path))
        try:
            with database.translated():
                database._check(network)
        except BaseException:
            database.connection.close()
            raise
        return database

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """One writer's turn: all of it is on disk when this ends, or, after an exception, none."""
        with self.translated():
            self.connection.execute("BEGIN IMMEDIATE")
            try:
                yield self.connection
                self.connection.execute("COMMIT")
            except BaseException:
                if self.connection.in_transaction:
                    self.connection.execute("ROLLBACK")
                raise
            self._keep_head()

    @contextmanager
    def translated(self) -> Iterator[None]:
        """Turn sqlite's errors into ours: SystemRefused for the disk's, Damaged for the file's."""
        try:
            yield
        except (*_FAULTS, msgspec.DecodeError, AddressValueError) as error:
            raise _named(self.path, error) from error

    def _keep_head(self) -> None:
        newest = journal.head(self.connection)
        if newest != self._head:
            journal.write_head(self.head_path, newest)
            self._head = newest

    def _check(self, network: Network) -> None:
        self._expect("application_id", APPLICATION, "it is no ledger of pulse")
        version = self.connection.execute("PRAGMA user_version").fetchone()[0]
        if version > VERSION:
            raise Damaged(f"{self.path} was written by a newer pulse (version {version}).\nUpgrade pulse here.")
        self._expect("user_version", VERSION, "its version is unknown")
        self._expect("quick_check", "ok", "its pages do not fit together")
        statements = "SELECT sql FROM sqlite_master WHERE sql IS NOT NULL"
        # Counted, not sorted: in a damaged file a text may be bytes.
        if Counter(row[0] for row in self.connection.execute(statements)) != Counter(SCHEMA):
            raise Damaged(f"{self.path} is damaged: its tables are not those of pulse.\n{_BACKUP}")
        self._check_contents(network)

    def _check_contents(self, network: Network) -> None:
        meta = dict(self.connection.execute("SELECT key, value FROM meta"))
        if meta.get("network") != network.label:
            raise Damaged(f"{self.path} belongs to another network ({meta.get('network')}).\n{_BACKUP}")
        if not isinstance(meta.get("newest_time"), float):
            raise Damaged(f"{self.path} is damaged: it has lost its time.\n{_BACKUP}")
        kept = journal.read_head(self.head_path)
        if not journal.holds(self.connection, kept):
            raise Damaged(
                f"{self.path} is older than {self.head_path.name} beside it: entry {kept.seq} of its journal is not "
                f"there.\nWas a -wal file lost, or an old copy put back? {_BACKUP}"
            )
        self._head = kept

    def _expect(self, pragma: str, wanted: int | str, complaint: str) -> None:
        found = self.connection.execute(f"PRAGMA {pragma}").fetchone()[0]
        if found != wanted:
            raise Damaged(f"{self.path} is damaged: {complaint} ({found}).\n{_BACKUP}")


def snapshot(path: Path) -> sqlite3.Connection:
    """A copy in memory of the ledger at `path`, which others may be writing, as it was between two transactions."""
    copy = sqlite3.connect(":memory:")
    try:
        with closing(_connect(path)) as source:
            source.backup(copy)
    except _FAULTS as error:
        copy.close()
        raise _named(path, error) from error
    return copy


def write_ahead(path: Path) -> None:
    """Make a copy a ledger again, whose readers and writer do not wait for each other."""
    with closing(_connect(path)) as ledger:
        try:
            ledger.execute("PRAGMA journal_mode = WAL")
        except _FAULTS as error:
            raise _named(path, error) from error


def _connect(path: Path) -> sqlite3.Connection:
    address = f"file:{quote(str(path))}?mode=rw"
    try:
        connection = sqlite3.connect(
            address, uri=True, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False
        )
        for pragma in ("synchronous = FULL", "trusted_schema = OFF", "cell_size_check = ON"):
            connection.execute(f"PRAGMA {pragma}")
    except _FAULTS as error:
        raise _named(path, error) from error
    return connection


def _named(path: Path, error: Exception) -> PulseError:
    if isinstance(error, sqlite3.IntegrityError):
        return Conflict(f"{path} holds something that contradicts this: {error}")
    if getattr(error, "sqlite_errorcode", 0) & 0xFF in _SYSTEM:
        return SystemRefused(f"cannot use {path}: {error}.\nSee to the disk (space, permissions), then try again.")
    return Damaged(f"{path} is damaged: {error}.\n{_BACKUP}")
