"""The ledger's file is checked when opened, and a bad one is named, never made anew."""

import os
import shutil
import sqlite3
import stat
from pathlib import Path

import pytest

from pulse.errors import Conflict, Damaged, NotFound, PulseError, Refused, SystemRefused
from pulse.store.database import Database
from pulse.store.ledger import Ledger
from tests.authority import NOW, token
from tests.store.ledgers import CA, LEDGER, join, make, reopen

TOKEN = token("t", max_uses=1)


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    """A ledger with one join in it, closed."""
    path = tmp_path / "ca"
    with make(path, TOKEN) as ledger:
        join(ledger, "a", TOKEN)
    return path


def change(directory: Path, statement: str) -> None:
    db = sqlite3.connect(directory / LEDGER)
    db.execute(statement)
    db.commit()
    db.close()


def test_every_file_of_a_ledger_is_private_whatever_the_umask(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        with make(tmp_path / "ca", TOKEN) as ledger:
            join(ledger, "a", TOKEN)
            modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "ca").iterdir()}
    finally:
        os.umask(before)
    assert set(modes.values()) == {0o600}
    assert {LEDGER, f"{LEDGER}-wal", "journal.head"} <= set(modes)


def test_every_commit_waits_for_the_disk(directory: Path) -> None:
    database = Database.open(directory / LEDGER, CA.network)
    assert database.connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    assert database.connection.execute("PRAGMA synchronous").fetchone() == (2,)
    database.connection.close()


def delete_and_fail(database: Database) -> None:
    with database.transaction() as connection:
        connection.execute("DELETE FROM tokens")
        raise ZeroDivisionError


def test_an_exception_undoes_the_whole_transaction(directory: Path) -> None:
    database = Database.open(directory / LEDGER, CA.network)
    with pytest.raises(ZeroDivisionError):
        delete_and_fail(database)
    database.connection.close()
    with reopen(directory) as ledger:
        assert len(ledger.tokens()) == 1


def test_a_ledger_is_not_made_twice(directory: Path) -> None:
    with pytest.raises(Conflict, match="there already"):
        Ledger.create(directory / LEDGER, CA.network, NOW)
    with pytest.raises(SystemRefused, match="cannot write"):
        Ledger.create(directory / "missing" / LEDGER, CA.network, NOW)


def test_a_missing_ledger_is_named_and_not_made(directory: Path) -> None:
    (directory / LEDGER).unlink()
    with pytest.raises(NotFound, match=r"ledger\.sqlite is missing(.|\n)*backup"):
        reopen(directory)
    assert not (directory / LEDGER).exists()


def test_a_readable_or_linked_ledger_is_refused(directory: Path) -> None:
    path = directory / LEDGER
    path.chmod(0o640)
    with pytest.raises(Refused, match="chmod 600"):
        reopen(directory)
    path.rename(directory / "other")
    path.symlink_to(directory / "other")
    with pytest.raises(Refused, match="symbolic link"):
        reopen(directory)


@pytest.mark.parametrize(
    ("statement", "complaint"),
    [
        ("PRAGMA application_id = 1", "no ledger of pulse"),
        ("PRAGMA user_version = 2", "newer pulse"),
        ("PRAGMA user_version = 0", "version is unknown"),
        ("DROP TABLE names", "tables are not those"),
        ("ALTER TABLE tokens ADD COLUMN extra TEXT", "tables are not those"),
        ("CREATE TABLE extra (a)", "tables are not those"),
        ("CREATE TRIGGER undo AFTER UPDATE ON tokens BEGIN SELECT 1; END", "tables are not those"),
        ("UPDATE meta SET value = 'other.00' WHERE key = 'network'", "another network"),
        ("UPDATE meta SET value = 'soon' WHERE key = 'newest_time'", "lost its time"),
        ("DELETE FROM meta WHERE key = 'newest_time'", "lost its time"),
        ("DELETE FROM journal WHERE seq = 3", "older than journal.head"),
    ],
)
def test_a_schema_or_content_pulse_never_wrote_is_named(directory: Path, statement: str, complaint: str) -> None:
    change(directory, statement)
    with pytest.raises(Damaged, match=complaint):
        reopen(directory)


def test_a_lost_wal_is_noticed(tmp_path: Path) -> None:
    ledger = make(tmp_path / "ca", TOKEN)
    copy = tmp_path / "copy"
    join(ledger, "a", TOKEN)
    shutil.copytree(tmp_path / "ca", copy)
    for name in (f"{LEDGER}-wal", f"{LEDGER}-shm"):
        (copy / name).unlink()
    with pytest.raises(Damaged):
        reopen(copy)


def test_an_older_copy_of_the_ledger_is_noticed(tmp_path: Path) -> None:
    make(tmp_path / "ca", TOKEN).close()
    older = (tmp_path / "ca" / LEDGER).read_bytes()
    with reopen(tmp_path / "ca") as ledger:
        join(ledger, "a", TOKEN)
    (tmp_path / "ca" / LEDGER).write_bytes(older)
    with pytest.raises(Damaged, match=r"older than journal\.head(.|\n)*old copy put back"):
        reopen(tmp_path / "ca")


def test_damaged_rows_are_named_when_met(directory: Path) -> None:
    change(directory, "UPDATE tokens SET tags = 'x'")
    with reopen(directory) as ledger:
        with pytest.raises(Damaged, match="is damaged"):
            ledger.tokens()
        with pytest.raises(Damaged, match="is damaged"):
            join(ledger, "b", TOKEN)


def fill(ledger: Ledger) -> None:
    for number in range(2000):
        ledger.add_token(token(f"n{number}"))


def test_a_full_disk_is_told_apart_from_damage(directory: Path) -> None:
    database = Database.open(directory / LEDGER, CA.network)
    database.connection.execute("PRAGMA max_page_count = 1")
    ledger = Ledger(database)
    with pytest.raises(SystemRefused, match=r"ledger\.sqlite(.|\n)*space"):
        fill(ledger)
    ledger.close()


def test_no_cut_and_no_flip_in_the_header_is_believed(directory: Path) -> None:
    path = directory / LEDGER
    whole = path.read_bytes()
    step = 509
    for data in (whole[:end] for end in range(0, len(whole), step)):
        path.write_bytes(data)
        with pytest.raises(PulseError, match=str(path)):
            reopen(directory)
    for at in range(100):
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 0xFF]) + whole[at + 1 :])
        named_or_harmless(directory)


def test_flips_all_over_the_file_are_named_or_leave_the_promises_standing(directory: Path) -> None:
    path = directory / LEDGER
    whole = path.read_bytes()
    for at in range(100, len(whole), 211):
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 0x55]) + whole[at + 1 :])
        named_or_harmless(directory)


def named_or_harmless(directory: Path) -> None:
    """Whatever was flipped: an error of ours, or a ledger that still refuses a second use."""
    try:
        with reopen(directory) as ledger:
            ledger.verify()
            join(ledger, "b", TOKEN)
    except PulseError:
        return
    finally:
        for name in (f"{LEDGER}-wal", f"{LEDGER}-shm"):
            (directory / name).unlink(missing_ok=True)


def test_a_schema_whose_text_became_bytes_is_named(directory: Path) -> None:
    """As a flipped bit in the type of a field makes it."""
    db = sqlite3.connect(directory / LEDGER)
    db.execute("PRAGMA writable_schema = ON")
    db.execute("UPDATE sqlite_master SET sql = CAST(sql AS BLOB) WHERE name = 'names'")
    db.commit()
    db.close()

    with pytest.raises(Damaged, match=LEDGER):
        reopen(directory)


def test_a_schema_that_is_no_text_is_named(directory: Path) -> None:
    """The error that sqlite has for it is no text either."""
    data = (directory / LEDGER).read_bytes()
    assert b"CREATE TABLE names" in data
    (directory / LEDGER).write_bytes(data.replace(b"CREATE TABLE names", b"CREATE TABLE \xc5ames"))

    with pytest.raises(Damaged, match=LEDGER):
        reopen(directory)
