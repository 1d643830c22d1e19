"""The journal's chain names the first entry that was touched, and notices a missing end."""

import sqlite3
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pulse.errors import Damaged, NotFound
from pulse.store import journal
from pulse.store.files import open_data_dir
from pulse.store.journal import Entry, Head, Verification

ENTRIES = 5


def filled() -> sqlite3.Connection:
    db = sqlite3.connect(":memory:", isolation_level=None)
    db.execute(journal.TABLE)
    for number in range(1, ENTRIES + 1):
        journal.append(db, 100.0 + number, "something happened", {"number": number, "who": None})
    return db


def time_before(seq: int) -> float | None:
    """When the entry before `seq` was written."""
    return 100.0 + seq - 1 if seq > 1 else None


def test_entries_come_back_in_order_and_in_pages() -> None:
    db = filled()
    assert [entry.seq for entry in journal.entries(db)] == [1, 2, 3, 4, 5]
    assert journal.entries(db, after=3, limit=1) == [Entry(4, 104.0, "something happened", {"number": 4, "who": None})]


def test_an_untouched_journal_holds() -> None:
    db = filled()
    assert journal.verify(db, journal.head(db)) == Verification(ENTRIES)
    assert journal.verify(db, Head()) == Verification(ENTRIES)


@pytest.mark.parametrize("seq", range(1, ENTRIES + 1))
def test_a_changed_entry_is_named(seq: int) -> None:
    db = filled()
    db.execute("UPDATE journal SET entry = replace(entry, '10', '11') WHERE seq = ?", (seq,))
    assert journal.verify(db, journal.head(db)) == Verification(
        seq - 1, seq, f"entry {seq} was changed", time_before(seq)
    )


@pytest.mark.parametrize("seq", range(1, ENTRIES))
def test_a_missing_entry_is_named(seq: int) -> None:
    db = filled()
    db.execute("DELETE FROM journal WHERE seq = ?", (seq,))
    assert journal.verify(db, journal.head(db)) == Verification(
        seq - 1, seq, f"entry {seq} is missing", time_before(seq)
    )


@given(st.integers(1, ENTRIES))
def test_a_journal_cut_short_is_noticed_by_the_head_kept_apart(left: int) -> None:
    db = filled()
    kept = journal.head(db)
    db.execute("DELETE FROM journal WHERE seq >= ?", (left,))
    found = journal.verify(db, kept)
    assert (found.entries, found.broken) == (left - 1, left)
    assert "missing at the end" in found.reason
    assert not journal.holds(db, kept)


def test_a_journal_written_anew_is_noticed() -> None:
    db, forged = filled(), filled()
    forged.execute("DELETE FROM journal")
    for _ in range(ENTRIES + 1):
        journal.append(forged, 1.0, "nothing happened", {})
    found = journal.verify(forged, journal.head(db))
    assert (found.broken, found.reason) == (ENTRIES, "entry 5 and all before it were written anew")
    assert not journal.holds(forged, journal.head(db))


def test_a_head_that_lags_behind_is_no_damage() -> None:
    db = filled()
    kept = journal.head(db)
    journal.append(db, 200.0, "more happened", {})
    assert journal.holds(db, kept)
    assert journal.verify(db, kept).broken is None
    assert journal.holds(db, Head())


def test_an_unreadable_entry_is_named() -> None:
    db = filled()
    db.execute("UPDATE journal SET entry = 'x' WHERE seq = 2")
    with pytest.raises(Damaged, match="entry 2 cannot be read"):
        journal.entries(db)


def test_the_head_is_kept_in_a_file_that_notices_damage(tmp_path: Path) -> None:
    path = open_data_dir(tmp_path / "data") / "journal.head"
    with pytest.raises(NotFound):
        journal.read_head(path)
    journal.write_head(path, Head(7, bytes(range(32))))
    assert journal.read_head(path) == Head(7, bytes(range(32)))
    whole = path.read_bytes()
    for at in range(len(whole)):
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :])
        with pytest.raises(Damaged, match=r"journal\.head is damaged"):
            journal.read_head(path)
