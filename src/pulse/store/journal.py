"""Journals: entries each chained to the one before by its hash; the CA's in its ledger, a node's in files of its own.

An entry's hash is SHA-256(hash before ‖ entry as stored). The newest hash is kept in a file apart, written
after each commit, so a journal cut short, or an older copy of it, is noticed too.
Invariant: an entry of the CA's is written in the transaction of what it tells of, so neither is without the other.
"""

import hashlib
import sqlite3
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import msgspec

from pulse.errors import Damaged
from pulse.store.files import checked, read_checked, write_file

GENESIS: Final = bytes(32)
TABLE: Final = "CREATE TABLE journal (seq INTEGER PRIMARY KEY, entry TEXT NOT NULL, hash BLOB NOT NULL) STRICT"

Fields = dict[str, str | int | float | None]


class Entry(msgspec.Struct, frozen=True):
    """One line of a journal; `time` is its node's wall clock, seconds since 1970."""

    seq: int
    time: float
    event: str
    fields: Fields


@dataclass(frozen=True, slots=True)
class Head:
    """The newest entry: its number and hash; 0 and zeros before the first."""

    seq: int = 0
    hash: bytes = GENESIS


GENESIS_HEAD: Final = Head()


@dataclass(frozen=True, slots=True)
class Verification:
    """What reading the whole journal found; `broken` is the first entry that cannot be believed."""

    entries: int
    broken: int | None = None
    reason: str = ""
    time: float | None = None
    """When the last entry before it was written; None if it is the first."""


def append(db: sqlite3.Connection, time: float, event: str, fields: Fields) -> Head:
    """Add an entry inside the open transaction."""
    last = head(db)
    entry = encode(Entry(last.seq + 1, time, event, fields))
    fresh = Head(last.seq + 1, chained(last.hash, entry))
    db.execute("INSERT INTO journal VALUES (?, ?, ?)", (fresh.seq, entry, fresh.hash))
    return fresh


def head(db: sqlite3.Connection) -> Head:
    """The newest entry."""
    row = db.execute("SELECT seq, hash FROM journal ORDER BY seq DESC LIMIT 1").fetchone()
    return Head(*row) if row else Head()


def entries(db: sqlite3.Connection, after: int = 0, limit: int = 1000) -> list[Entry]:
    """At most `limit` entries after number `after`, oldest first; raises Damaged for one that cannot be read."""
    rows = db.execute("SELECT seq, entry FROM journal WHERE seq > ? ORDER BY seq LIMIT ?", (after, limit))
    return [_read(seq, text) for seq, text in rows]


def verify(db: sqlite3.Connection, kept: Head) -> Verification:
    """Walk the chain from the first entry; `kept` is the head from the file apart."""
    return walk(_rows(db), kept)


def walk(rows: Iterable[tuple[int, str, bytes]], kept: Head, start: Head = GENESIS_HEAD) -> Verification:
    """Follow a chain of (number, entry, hash) from `start`, the entry before the first, to the one `kept` tells of."""
    previous, last = start, ""
    for seq, text, found in rows:
        expected = Head(previous.seq + 1, chained(previous.hash, text))
        broken = _fault(seq, found, expected, kept)
        if broken:
            return Verification(previous.seq - start.seq, expected.seq, broken, _written(last))
        previous, last = expected, text
    count = previous.seq - start.seq
    if previous.seq < kept.seq:
        missing = f"entries {previous.seq + 1} to {kept.seq} are missing at the end"
        return Verification(count, previous.seq + 1, missing, _written(last))
    return Verification(count)


def holds(db: sqlite3.Connection, kept: Head) -> bool:
    """True if the journal still has the entry the head file tells of."""
    if kept == Head():
        return True
    row = db.execute("SELECT hash FROM journal WHERE seq = ?", (kept.seq,)).fetchone()
    return row is not None and row[0] == kept.hash


def write_head(path: Path, newest: Head) -> None:
    """Keep the head in its file; durable when this returns."""
    write_file(path, head_file(newest))


def head_file(newest: Head) -> bytes:
    """What lies in that file."""
    return checked("journal-head", f"{newest.seq} {newest.hash.hex()}\n".encode())


def read_head(path: Path) -> Head:
    """The head from its file; raises NotFound or Damaged."""
    seq, found = read_checked(path, "journal-head", "Put back a backup of the whole directory.").split()
    return Head(int(seq), bytes.fromhex(found.decode()))


def _rows(db: sqlite3.Connection) -> Iterator[tuple[int, str, bytes]]:
    yield from db.execute("SELECT seq, entry, hash FROM journal ORDER BY seq")


def chained(before: bytes, entry: str) -> bytes:
    """The hash of an entry that follows the one with hash `before`."""
    return hashlib.sha256(before + entry.encode()).digest()


def encode(entry: Entry) -> str:
    """An entry as it is stored, and hashed."""
    return msgspec.json.encode(entry).decode()


def _fault(seq: int, found: bytes, expected: Head, kept: Head) -> str:
    """What is wrong with an entry; nothing if it is the expected one."""
    if seq != expected.seq:
        return f"entry {expected.seq} is missing"
    if found != expected.hash:
        return f"entry {seq} was changed"
    if seq == kept.seq and found != kept.hash:
        return f"entry {seq} and all before it were written anew"
    return ""


def _written(text: str) -> float | None:
    return msgspec.json.decode(text, type=Entry).time if text else None


def _read(seq: int, text: str) -> Entry:
    try:
        return msgspec.json.decode(text, type=Entry)
    except msgspec.DecodeError as error:
        raise Damaged(f"journal entry {seq} cannot be read.\nSee what else is: pulse ca log --verify") from error
