"""A node's journal of what it saw: entries chained by their hashes, in a few files of bounded size.

Beside the files lies `head`, written after them: a break after the entry it tells of is a write that a crash cut
short, and is cut off; one before it is damage, which stays for people to see, and the journal goes on in a new file.
Each file begins by what there was to know, so the oldest may go. Invariant: what `append` returned is on disk.
"""

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import chain
from pathlib import Path
from typing import Final, Self

from pulse.core.events import Event, Kind, Past
from pulse.errors import Damaged, NotFound, SystemRefused
from pulse.store import segments
from pulse.store.files import check_private, open_data_dir, read_checked, write_checked, write_file
from pulse.store.journal import GENESIS_HEAD, Entry, Head, Verification, chained, encode, walk
from pulse.store.segments import BEFORE, Line, place, places

NAME: Final = "events"
"""Of the directory, in the data directory."""

FILE_BYTES: Final = 1024 * 1024
"""Bytes after which a new file begins, what it says again not counted."""

FILES: Final = 8
"""With this many files the journal of a small mesh reaches back months, and that of a stormy one days."""

_HEAD: Final = "events-head"
_TELLS: Final = "See what else is: pulse events --verify"

Fits = Callable[[Entry], bool]


@dataclass(frozen=True, slots=True)
class Moment:
    """The journal at a time: what it had told by then, its last entry by then, and the one that followed."""

    past: Past
    last: Entry
    following: Entry | None


class EventJournal:
    """An open journal; used from one thread at a time."""

    def __init__(self, directory: Path, file_bytes: int, files: int) -> None:
        self._directory, self._file_bytes, self._files = directory, file_bytes, files
        self._head_path = directory / "head"
        self._head = GENESIS_HEAD
        self._file: int | None = None
        self._size = self._began = 0
        """Bytes of the newest file that hold, and how many of them say again what was known."""
        self._torn = False
        """A write failed: there may be more bytes than hold."""
        self._head_kept = GENESIS_HEAD
        self.past = Past()
        """What there is to know after the newest entry."""

    @classmethod
    def open(cls, data_dir: Path, now: float, *, file_bytes: int = FILE_BYTES, files: int = FILES) -> Self:
        """The journal of a data directory, made if need be. Raises PulseError if the disk refuses."""
        journal = cls(open_data_dir(data_dir / NAME), file_bytes, files)
        with _translated(journal._directory):
            journal._recover(now)
        return journal

    def close(self) -> None:
        """Let go of the file."""
        if self._file is not None:
            os.close(self._file)
            self._file = None

    def append(self, happened: Sequence[tuple[float, Event]]) -> list[Entry]:
        """Write events with the time of each; durable when this returns. After SystemRefused none is written."""
        with _translated(self._directory):
            if self._size - self._began > self._file_bytes:
                self._begin(self._head, happened[0][0])
            entries, head, data = _entered(self._head, happened)
            self._write(data)
        self._head, self._size = head, self._size + len(data)
        self._learn(entries)
        return entries

    def keep_head(self) -> None:
        """Write the head if it is another than on disk; without it a lost end would go unseen. Raises SystemRefused."""
        if self._head_kept != self._head:
            write_checked(self._head_path, _HEAD, f"{self._head.seq} {self._head.hash.hex()}\n".encode())
            self._head_kept = self._head

    # What it tells; entries that cannot be read are left out, and `verify` names them

    def newest(self, limit: int, fits: Fits) -> list[Entry]:
        """The newest entries that fit, oldest first."""
        found: list[Entry] = []
        for path in reversed(places(self._directory)):
            here = [entry for entry in _readable(path) if fits(entry)]
            found = here[-(limit - len(found)) :] + found
            if len(found) >= limit:
                break
        return found

    def after(self, number: int, limit: int, fits: Fits) -> list[Entry]:
        """Entries after that number which fit, oldest first."""
        paths = places(self._directory)
        following = [segments.first_of(path) for path in paths[1:]]
        wanted = [path for path, end in zip(paths, (*following, self._head.seq + 2), strict=True) if end > number + 1]
        entries = (entry for path in wanted for entry in _readable(path))
        found = (entry for entry in entries if entry.seq > number and fits(entry))
        return [entry for entry, _ in zip(found, range(limit), strict=False)]

    def begins(self) -> float:
        """The time of the oldest entry that can be read."""
        return next((entry.time for path in places(self._directory) for entry in _readable(path)), 0.0)

    def at(self, time: float) -> Moment:
        """What it had told by `time`. Raises NotFound for a time before its oldest entry."""
        following: Entry | None = None
        for path in reversed(places(self._directory)):
            entries = _readable(path)
            past = max((place for place, entry in enumerate(entries) if entry.time <= time), default=None)
            if past is not None:
                told = entries[: past + 1]
                following = entries[past + 1] if past + 1 < len(entries) else following
                return Moment(_told(told), told[-1], following)
            following = entries[0] if entries else following
        begins = datetime.fromtimestamp(self.begins(), UTC).isoformat(timespec="seconds")
        raise NotFound(f"the journal of this node begins at {begins}: what was before is not known")

    def verify(self) -> Verification:
        """Walk the chain from the oldest entry that is kept."""
        try:
            kept = _read_head(self._head_path)
        except (Damaged, NotFound):
            lost = f"{self._head_path.name}, which tells the last entry, is damaged or gone"
            return Verification(self._head.seq, self._head.seq, lost)
        paths = places(self._directory)
        if not paths:
            return walk((), kept)
        files = [segments.read(path) for path in paths]
        start = segments.start_of(paths[0], files[0])
        return walk(segments.rows([*chain(*files)], start.seq + 1), kept, start)

    # Details

    def _recover(self, now: float) -> None:
        """Find the end of the chain, and go on there or in a new file."""
        kept = self._kept()
        paths = places(self._directory)
        lines = segments.read(paths[-1]) if paths else []
        holds = segments.sound(paths[-1], lines) if paths else None
        if holds is None and kept == GENESIS_HEAD:
            self._begin(GENESIS_HEAD, now)
        elif holds is not None and kept is not None and _reaches(holds, kept):
            self._resume(paths[-1], holds)
        else:
            self._go_on_after_damage(kept or GENESIS_HEAD, holds, lines, now)
        self.keep_head()

    def _kept(self) -> Head | None:
        """The head as it is on disk; None if it is damaged or gone. A new journal gets one before anything else."""
        try:
            self._head_kept = _read_head(self._head_path)
        except Damaged:
            return None
        except NotFound:
            if places(self._directory):
                return None
            write_checked(self._head_path, _HEAD, f"0 {GENESIS_HEAD.hash.hex()}\n".encode())
        return self._head_kept

    def _resume(self, path: Path, holds: segments.Sound) -> None:
        check_private(path)
        self._file = os.open(path, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC)
        self._head, self._size, self._torn = holds.head, holds.size, not holds.whole
        self._began = _said_again(holds.entries)
        self._learn(holds.entries)

    def _go_on_after_damage(self, kept: Head, holds: segments.Sound | None, lines: Sequence[Line], now: float) -> None:
        good = holds.head if holds else GENESIS_HEAD
        self._learn(holds.entries if holds else ())
        highest = max((line.entry.seq for line in lines if line.entry), default=0)
        last = max(kept, good, key=lambda head: head.seq)
        self._begin(Head(max(last.seq, highest), last.hash), now)
        self.append([(now, Event(Kind.DAMAGE, {"entry": good.seq + 1}))])

    def _begin(self, before: Head, now: float) -> None:
        """A new file, whole on disk before anything is written to it; the oldest files go."""
        told = [(now, event) for event in (Event(Kind.ANCHOR, {BEFORE: before.hash.hex()}), *self.past.again())]
        entries, head, data = _entered(before, told)
        path = place(self._directory, entries[0].seq)
        write_file(path, data)
        self.close()
        self._file = os.open(path, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC)
        self._head, self._size, self._began, self._torn = head, len(data), len(data), False
        for old in places(self._directory)[: -self._files]:
            old.unlink(missing_ok=True)

    def _write(self, data: bytes) -> None:
        if self._file is None:
            raise SystemRefused(f"the journal in {self._directory} is closed.")
        if self._torn:
            os.ftruncate(self._file, self._size)
        self._torn = True
        done = 0
        try:
            while done < len(data):
                done += os.pwrite(self._file, data[done:], self._size + done)
            os.fdatasync(self._file)
        except OSError:
            # What there is of it would read as damage.
            os.ftruncate(self._file, self._size)
            raise
        self._torn = False

    def _learn(self, entries: Sequence[Entry]) -> None:
        for entry in entries:
            self.past.happened(Event(entry.event, entry.fields), entry.time)


class Unkept:
    """In the place of a journal that the disk did not give: each call asks it again, and says why not."""

    def __init__(self, open_again: Callable[[], EventJournal]) -> None:
        self._open_again = open_again
        self._journal: EventJournal | None = None

    @property
    def past(self) -> Past:
        """What there is to know."""
        return self._journal.past if self._journal else Past()

    def append(self, happened: Sequence[tuple[float, Event]]) -> list[Entry]:
        """As of a journal; raises SystemRefused, as does all the rest."""
        return self._given().append(happened)

    def newest(self, limit: int, fits: Fits) -> list[Entry]:
        """As of a journal."""
        return self._given().newest(limit, fits)

    def after(self, number: int, limit: int, fits: Fits) -> list[Entry]:
        """As of a journal."""
        return self._given().after(number, limit, fits)

    def at(self, time: float) -> Moment:
        """As of a journal."""
        return self._given().at(time)

    def verify(self) -> Verification:
        """As of a journal."""
        return self._given().verify()

    def keep_head(self) -> None:
        """As of a journal."""
        self._given().keep_head()

    def close(self) -> None:
        """As of a journal; nothing if there is none."""
        if self._journal:
            self._journal.close()

    def _given(self) -> EventJournal:
        self._journal = self._journal or self._open_again()
        return self._journal


def opened(data_dir: Path, now: float) -> EventJournal | Unkept:
    """The journal of a data directory; a disk that fails costs the journal, not the node. Raises Refused."""

    def open_now() -> EventJournal:
        try:
            return EventJournal.open(data_dir, now)
        except Damaged as error:
            raise SystemRefused(str(error)) from error

    try:
        return open_now()
    except SystemRefused:
        return Unkept(open_now)


def verified(data_dir: Path) -> Verification:
    """Walk the journal of a node that does not run, changing nothing. Raises PulseError."""
    directory = data_dir / NAME
    with _translated(directory):
        return EventJournal(directory, FILE_BYTES, FILES).verify() if directory.exists() else Verification(0)


def _entered(head: Head, happened: Sequence[tuple[float, Event]]) -> tuple[list[Entry], Head, bytes]:
    """The events as entries that follow `head`, the head they lead to, and their lines."""
    entries, lines = [], []
    for time, event in happened:
        entry = Entry(head.seq + 1, time, event.kind, dict(event.fields))
        text = encode(entry)
        head = Head(entry.seq, chained(head.hash, text))
        entries.append(entry)
        lines.append(segments.written(text, head.hash))
    return entries, head, b"".join(lines)


def _reaches(holds: segments.Sound, kept: Head) -> bool:
    """Nothing that was said to be on disk is missing; what comes after may be torn."""
    if holds.head.seq == kept.seq:
        return holds.head.hash == kept.hash
    return holds.head.seq > kept.seq


def _said_again(entries: Sequence[Entry]) -> int:
    """About how many bytes at the beginning of a file say again what was known."""
    again = [entry for entry in entries if entry.event in (Kind.ANCHOR, Kind.KNOWN)]
    return sum(len(encode(entry)) for entry in again)


def _readable(path: Path) -> list[Entry]:
    return [line.entry for line in segments.read(path) if line.entry is not None]


def _told(entries: Sequence[Entry]) -> Past:
    past = Past()
    for entry in entries:
        past.happened(Event(entry.event, entry.fields), entry.time)
    return past


def _read_head(path: Path) -> Head:
    seq, found = read_checked(path, _HEAD, _TELLS).split()
    return Head(int(seq), bytes.fromhex(found.decode()))


@contextmanager
def _translated(directory: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise SystemRefused(f"cannot write to {directory}: {error.strerror}.\nSee to the disk.") from error
