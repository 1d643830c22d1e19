"""The CA's journal: what was issued, refused and changed, each entry chained to the one before by its hash.

An entry's hash is SHA-256(hash before ‖ entry as stored). The newest hash is kept in a file apart, written
after each commit, so a journal cut short, or an older copy of the ledger, is noticed too.
Invariant: an entry is written in the transaction of the change it tells of, so neither is without the other.
"""

import hashlib
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import msgspec

from pulse.errors import Damaged
from pulse.store.files import read_checked, write_checked

GENESIS: Final = bytes(32)
TABLE: Final = "CREATE TABLE journal (seq INTEGER PRIMARY KEY, entry TEXT NOT NULL, hash BLOB NOT NULL) STRICT"

Fields = dict[str, str | int | float | None]


class Entry(msgspec.Struct, frozen=True):
    """One line of the journal; `time` is the CA's wall clock, seconds since 1970."""

    seq: int
    time: float
    event: str
    fields: Fields


@dataclass(frozen=True, slots=True)
class Head:
    """The newest entry: its number and hash; 0 and zeros before the first."""

    seq: int = 0
    hash: bytes = GENESIS


@dataclass(frozen=True, slots=True)
class Verification:
    """What reading the whole journal found; `broken` is the first entry that cannot be believed."""

    entries: int
    broken: int | None = None
    reason: str = ""


def append(db: sqlite3.Connection, time: float, event: str, fields: Fields) -> Head:
    """Add an entry inside the open transaction."""
    last = head(db)
    entry = msgspec.json.encode(Entry(last.seq + 1, time, event, fields)).decode()
    fresh = Head(last.seq + 1, _chain(last.hash, entry))
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
    count, previous = 0, GENESIS
    for seq, text, found in _rows(db):
        count += 1
        if seq != count:
            return Verification(count - 1, count, f"entry {count} is missing")
        previous = _chain(previous, text)
        if found != previous:
            return Verification(count - 1, seq, f"entry {seq} was changed")
        if seq == kept.seq and previous != kept.hash:
            return Verification(count - 1, seq, f"entry {seq} and all before it were written anew")
    if count < kept.seq:
        return Verification(count, count + 1, f"entries {count + 1} to {kept.seq} are missing at the end")
    return Verification(count)


def holds(db: sqlite3.Connection, kept: Head) -> bool:
    """True if the journal still has the entry the head file tells of."""
    if kept == Head():
        return True
    row = db.execute("SELECT hash FROM journal WHERE seq = ?", (kept.seq,)).fetchone()
    return row is not None and row[0] == kept.hash


def write_head(path: Path, newest: Head) -> None:
    """Keep the head in its file; durable when this returns."""
    write_checked(path, "journal-head", f"{newest.seq} {newest.hash.hex()}\n".encode())


def read_head(path: Path) -> Head:
    """The head from its file; raises NotFound or Damaged."""
    seq, found = read_checked(path, "journal-head", "Put back a backup of the whole directory.").split()
    return Head(int(seq), bytes.fromhex(found.decode()))


def _rows(db: sqlite3.Connection) -> Iterator[tuple[int, str, bytes]]:
    yield from db.execute("SELECT seq, entry, hash FROM journal ORDER BY seq")


def _chain(before: bytes, entry: str) -> bytes:
    return hashlib.sha256(before + entry.encode()).digest()


def _read(seq: int, text: str) -> Entry:
    try:
        return msgspec.json.decode(text, type=Entry)
    except msgspec.DecodeError as error:
        raise Damaged(f"journal entry {seq} cannot be read.\nSee what else is: pulse ca log --verify") from error
