"""The files of a node's journal, each a run of lines `<hash in hex> <entry>`, named by the number of its first entry.

Every byte of a file is in a line, and every line in the chain, so no byte can change unseen.
Invariant: what is read here is not believed: a line that is not one as written is told as such, never left out.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import msgspec

from pulse.store.files import read_file
from pulse.store.journal import GENESIS, Entry, Head, chained

ENDING: Final = ".jsonl"
BEFORE: Final = "before"
"""Field of a file's first entry: the hash of the entry before it, which an older file has or had."""

_DIGITS: Final = 12
_HASH: Final = 64

_entries = msgspec.json.Decoder(Entry)


@dataclass(frozen=True, slots=True)
class Line:
    """One line; `entry` is None for one that is no entry, `hash` empty for one that is not as pulse writes lines."""

    text: str
    hash: bytes
    entry: Entry | None
    size: int


def place(directory: Path, first: int) -> Path:
    """The file whose first entry has number `first`."""
    return directory / f"{first:0{_DIGITS}}{ENDING}"


def places(directory: Path) -> list[Path]:
    """The files of a journal, oldest first."""
    return sorted(path for path in directory.glob(f"*{ENDING}") if path.stem.isdigit())


def first_of(path: Path) -> int:
    """The number its name tells."""
    return int(path.stem)


def written(text: str, digest: bytes) -> bytes:
    """An entry as a line."""
    return f"{digest.hex()} {text}\n".encode()


def read(path: Path) -> list[Line]:
    """All lines of a file, the end of a torn one too. Raises PulseError if it cannot be read at all."""
    whole, newline, torn = read_file(path).rpartition(b"\n")
    raw = [line + b"\n" for line in (whole + newline).split(b"\n")[:-1]]
    return [_line(each) for each in (*raw, torn) if each]


def rows(lines: Sequence[Line], first: int) -> Iterator[tuple[int, str, bytes]]:
    """Lines as `journal.walk` takes them; the first one should have number `first`."""
    number = first
    for line in lines:
        number = line.entry.seq if line.entry and line.hash else number
        yield number, line.text, line.hash
        number += 1


def start_of(path: Path, lines: Sequence[Line]) -> Head:
    """The entry before a file's first one, as far as that tells."""
    entry = lines[0].entry if lines else None
    try:
        before = bytes.fromhex(str(entry.fields.get(BEFORE))) if entry else GENESIS
    except ValueError:
        before = GENESIS
    return Head(first_of(path) - 1, before)


@dataclass(frozen=True, slots=True)
class Sound:
    """What of a file holds: entries from its first one on, the head they lead to, and their bytes."""

    entries: tuple[Entry, ...]
    head: Head
    size: int
    whole: bool
    """Nothing comes after them."""


def sound(path: Path, lines: Sequence[Line]) -> Sound:
    """Follow the chain of one file as far as it goes."""
    head, size = start_of(path, lines), 0
    entries: list[Entry] = []
    for line in lines:
        following = Head(head.seq + 1, chained(head.hash, line.text))
        if line.entry is None or line.entry.seq != following.seq or line.hash != following.hash:
            break
        head, size = following, size + line.size
        entries.append(line.entry)
    return Sound(tuple(entries), head, size, whole=len(entries) == len(lines))


def _line(raw: bytes) -> Line:
    if len(raw) <= _HASH + 1:
        # Too short for an entry: a file may be full of such, and each complaint of the decoder costs more than this.
        return Line("", b"", None, len(raw))
    try:
        text, digest = raw[_HASH + 1 : -1].decode(), bytes.fromhex(raw[:_HASH].decode())
        entry = _entries.decode(text)
    except (ValueError, msgspec.DecodeError):
        return Line("", b"", None, len(raw))
    # To the byte: hex digits may be capitals, and JSON have spaces, that nobody wrote.
    return Line(text, digest if written(text, digest) == raw else b"", entry, len(raw))
