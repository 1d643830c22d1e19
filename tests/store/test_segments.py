"""Files of a journal: what was written is read, and what was not written so is never taken for an entry."""

from pathlib import Path

import pytest

from pulse.store import segments
from pulse.store.files import write_file
from pulse.store.journal import GENESIS, Entry, Head, chained, encode
from pulse.store.segments import place, places, read, rows, sound, start_of, written

TEXT = encode(Entry(7, 100.0, "anchor", {"before": "ab" * 32}))
HASH = chained(bytes.fromhex("ab" * 32), TEXT)
NEXT = encode(Entry(8, 101.0, "join", {"node": "c"}))
LINES = written(TEXT, HASH) + written(NEXT, chained(HASH, NEXT))


def in_file(directory: Path, data: bytes) -> Path:
    path = place(directory, 7)
    write_file(path, data)
    return path


def test_files_are_found_oldest_first_and_others_are_left_out(tmp_path: Path) -> None:
    for first in (1000, 7):
        write_file(place(tmp_path, first), b"")
    (tmp_path / "notes.jsonl").touch()

    assert [segments.first_of(path) for path in places(tmp_path)] == [7, 1000]


def test_what_was_written_is_read_and_holds(tmp_path: Path) -> None:
    path = in_file(tmp_path, LINES)
    lines = read(path)

    assert start_of(path, lines) == Head(6, bytes.fromhex("ab" * 32))
    assert [*rows(lines, 7)] == [(7, TEXT, HASH), (8, NEXT, chained(HASH, NEXT))]
    found = sound(path, lines)
    assert (found.whole, found.size, found.head) == (True, len(LINES), Head(8, chained(HASH, NEXT)))
    assert [entry.event for entry in found.entries] == ["anchor", "join"]


@pytest.mark.parametrize("cut", range(1, len(written(NEXT, HASH))))
def test_a_torn_end_is_told_and_what_is_before_it_holds(tmp_path: Path, cut: int) -> None:
    path = in_file(tmp_path, LINES[:-cut])
    found = sound(path, read(path))

    assert (found.whole, found.head, found.size) == (False, Head(7, HASH), len(written(TEXT, HASH)))


@pytest.mark.parametrize(
    "line",
    [
        written(TEXT, HASH).replace(HASH.hex().encode(), HASH.hex().upper().encode()),
        written(TEXT, HASH)[:-1] + b"\r\n",
        b" " + written(TEXT, HASH),
        written(TEXT, HASH).replace(b'"seq":7', b'"seq": 7'),
        b"\xff" * 80 + b"\n",
        b"\n",
    ],
)
def test_a_line_that_was_not_written_so_is_none(tmp_path: Path, line: bytes) -> None:
    path = in_file(tmp_path, line)

    assert sound(path, read(path)).entries == ()


def test_a_first_line_that_tells_nothing_starts_at_the_name_of_its_file(tmp_path: Path) -> None:
    path = in_file(tmp_path, b"nothing\n")
    assert start_of(path, read(path)) == Head(6, GENESIS)
    assert [*rows(read(path), 7)] == [(7, "", b"")]

    path = in_file(tmp_path, LINES.replace(b'"before":"ab', b'"before":"xy'))
    assert start_of(path, read(path)) == Head(6, GENESIS)
