"""A node's journal: nothing it acknowledged is lost, one flipped byte is found and named, and it goes on after all."""

import os
import resource
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from pulse.core.events import Event, Kind
from pulse.errors import NotFound, Refused, SystemRefused
from pulse.store import events as module
from pulse.store.events import EventJournal, Unkept
from pulse.store.files import PRIVATE_FILE, checked, open_data_dir
from pulse.store.journal import Entry
from pulse.store.segments import place, places

NOW = 1000.0


@pytest.fixture
def data_dir(tmp_path: Path) -> Path:
    return open_data_dir(tmp_path / "data")


def joined(number: int) -> Event:
    return Event(Kind.JOIN, {"node": f"{number:064x}", "name": f"node-{number}", "v4": "10.100.0.1"})


@contextmanager
def opened(data_dir: Path, **bounds: int) -> Iterator[EventJournal]:
    journal = EventJournal.open(data_dir, NOW, **bounds)
    yield journal
    journal.close()


def told(journal: EventJournal, count: int, first: int = 1) -> None:
    """That many joins, one each second."""
    for number in range(first, first + count):
        journal.append([(NOW + number, joined(number))])
        journal.keep_head()


def anything(_: Entry) -> bool:
    return True


def joins(entry: Entry) -> bool:
    return entry.event == Kind.JOIN


def names(entries: list[Entry]) -> list[object]:
    return [entry.fields["name"] for entry in entries]


def test_events_are_numbered_and_come_back_after_a_restart(data_dir: Path) -> None:
    with opened(data_dir) as journal:
        (entry,) = journal.append([(NOW, joined(1))])
        journal.keep_head()
    with opened(data_dir) as journal:
        told(journal, 2, first=2)
        assert names(journal.newest(2, joins)) == ["node-2", "node-3"]
        assert names(journal.after(entry.seq, 10, joins)) == ["node-2", "node-3"]
        assert names(journal.after(entry.seq, 1, joins)) == ["node-2"]
        assert [*journal.past.nodes] == [f"{number:064x}" for number in (1, 2, 3)]
        assert journal.verify().broken is None


def test_all_is_private(data_dir: Path) -> None:
    with opened(data_dir):
        pass
    for path in (data_dir / "events").iterdir():
        assert path.stat().st_mode & 0o777 == PRIVATE_FILE
    (data_dir / "events").chmod(0o755)
    with pytest.raises(Refused, match="open to other users"):
        EventJournal.open(data_dir, NOW)


def test_the_journal_is_bounded_and_each_file_begins_by_what_there_was_to_know(data_dir: Path) -> None:
    with opened(data_dir, file_bytes=700, files=3) as journal:
        told(journal, 30)
        paths = places(data_dir / "events")
        assert len(paths) == 3
        assert names(journal.newest(3, joins)) == ["node-28", "node-29", "node-30"]
        assert journal.newest(1000, joins) != journal.newest(2, joins)
        assert journal.verify().broken is None
        assert len(journal.at(NOW + 25).past.nodes) == 25
        with pytest.raises(NotFound, match="begins at 1970-01-01T00:"):
            journal.at(NOW + 3)
    with opened(data_dir, file_bytes=700, files=3) as journal:
        assert len(journal.past.nodes) == 30


def test_it_tells_how_it_was(data_dir: Path) -> None:
    with opened(data_dir) as journal:
        told(journal, 3)
        moment = journal.at(NOW + 2.5)

    assert len(moment.past.nodes) == 2
    assert (moment.last.time, moment.following and moment.following.time) == (NOW + 2, NOW + 3)


def test_each_flipped_byte_of_it_is_found_and_named(data_dir: Path) -> None:
    with opened(data_dir) as journal:
        told(journal, 2)
        (path,) = places(data_dir / "events")
        data = path.read_bytes()
        for position in range(len(data)):
            path.write_bytes(flipped(data, position))
            found = journal.verify()
            line = data.count(b"\n", 0, position) + 1
            assert found.broken == line, f"byte {position}: {found}"
            assert (found.time is None) is (line == 1)
        path.write_bytes(data)
        assert journal.verify().broken is None


def test_each_flipped_byte_of_the_head_is_found(data_dir: Path) -> None:
    with opened(data_dir) as journal:
        told(journal, 1)
        path = data_dir / "events" / "head"
        data = path.read_bytes()
        for position in range(len(data)):
            path.write_bytes(flipped(data, position))
            assert journal.verify().broken is not None


def test_after_damage_it_goes_on_in_a_new_file_and_still_names_it(data_dir: Path) -> None:
    with opened(data_dir) as journal:
        told(journal, 3)
    (path,) = places(data_dir / "events")
    data = path.read_bytes()
    for position in range(0, len(data), 97):
        for later in places(data_dir / "events")[1:]:
            later.unlink()
        path.write_bytes(flipped(data, position))
        (data_dir / "events" / "head").write_bytes(head_of(data_dir, data))
        broken = data.count(b"\n", 0, position) + 1
        with opened(data_dir) as journal:
            told(journal, 1, first=9)
            (damage,) = journal.newest(1, lambda entry: entry.event == Kind.DAMAGE)
            assert damage.fields == {"entry": broken}
            assert journal.verify().broken == broken
            assert names(journal.newest(1, joins)) == ["node-9"]


def test_entries_cut_off_at_the_end_are_missed(data_dir: Path) -> None:
    with opened(data_dir) as journal:
        told(journal, 3)
    (path,) = places(data_dir / "events")
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(lines[:-2]))

    with opened(data_dir) as journal:
        found = journal.verify()
        assert (found.broken, found.reason) == (len(lines) - 1, f"entry {len(lines) - 1} is missing")


def test_a_file_that_is_gone_is_missed(data_dir: Path) -> None:
    with opened(data_dir, file_bytes=700) as journal:
        told(journal, 12)
        paths = places(data_dir / "events")
        paths[1].unlink()
        assert "is missing" in journal.verify().reason


def test_all_files_gone_is_damage(data_dir: Path) -> None:
    with opened(data_dir) as journal:
        told(journal, 2)
    for path in places(data_dir / "events"):
        path.unlink()

    with opened(data_dir) as journal:
        assert journal.newest(1, lambda entry: entry.event == Kind.DAMAGE)
        assert journal.verify().broken is None


@pytest.mark.parametrize("torn", [b"", b"0", b"0" * 64 + b" {", b"\0" * 100, b"\n"])
def test_a_write_that_a_crash_cut_short_is_cut_off(data_dir: Path, torn: bytes) -> None:
    with opened(data_dir) as journal:
        told(journal, 2)
    (path,) = places(data_dir / "events")
    with path.open("ab") as file:
        file.write(torn)

    with opened(data_dir) as journal:
        told(journal, 1, first=3)
        assert names(journal.newest(9, joins)) == ["node-1", "node-2", "node-3"]
        assert journal.verify().broken is None


WRITER = """
import sys
from pathlib import Path
from pulse.core.events import Event, Kind
from pulse.store.events import EventJournal
journal = EventJournal.open(Path(sys.argv[1]), 1.0, file_bytes=2000, files=3)
number = int(sys.argv[2])
while True:
    batch = [(1.0, Event(Kind.EDIT, {"version": f"1.{number + more}"})) for more in range(3)]
    number = int(journal.append(batch)[-1].fields["version"][2:]) + 1
    print(number, flush=True)
    journal.keep_head()
"""


def test_kill_9_at_any_time_loses_nothing_that_was_acknowledged(data_dir: Path) -> None:
    acknowledged = 0
    for rounds in range(5):
        command = [sys.executable, "-c", WRITER, str(data_dir), str(acknowledged)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as writer:
            assert writer.stdout is not None
            for _ in range(3 + 2 * rounds):
                acknowledged = int(writer.stdout.readline())
            os.kill(writer.pid, signal.SIGKILL)
            acknowledged = max([acknowledged, *(int(line) for line in writer.stdout if line.endswith("\n"))])
        with opened(data_dir) as journal:
            assert journal.verify().broken is None
            found = [entry.fields["version"] for entry in journal.newest(1000, lambda each: each.event == Kind.EDIT)]
            assert f"1.{acknowledged - 1}" in found
            assert found == sorted(set(found), key=lambda text: int(str(text)[2:]))
            acknowledged = int(str(found[-1])[2:]) + 1


@contextmanager
def files_up_to(size: int) -> Iterator[None]:
    """A disk that takes no file longer than that, and says so."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    ignored = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, ignored)


def test_a_full_disk_is_said_and_once_it_has_room_nothing_is_missing_or_twice(data_dir: Path) -> None:
    with opened(data_dir) as journal:
        told(journal, 1)
        (path,) = places(data_dir / "events")
        batch = [(NOW + number, joined(number)) for number in range(2, 9)]
        with files_up_to(path.stat().st_size + 300):
            for _ in range(2):
                with pytest.raises(SystemRefused, match="cannot write"):
                    journal.append(batch)
            assert journal.verify().broken is None
        journal.append(batch[:2])
        journal.keep_head()
        assert names(journal.newest(9, joins)) == ["node-1", "node-2", "node-3"]
        assert journal.verify().broken is None


def test_a_closed_journal_takes_nothing(data_dir: Path) -> None:
    journal = EventJournal.open(data_dir, NOW)
    journal.close()
    with pytest.raises(SystemRefused, match="closed"):
        journal.append([(NOW, joined(1))])


def test_a_journal_in_the_place_of_which_is_a_link_is_refused(data_dir: Path) -> None:
    with opened(data_dir):
        pass
    path = place(data_dir / "events", 1)
    path.rename(data_dir / "elsewhere")
    path.symlink_to(data_dir / "elsewhere")
    with pytest.raises(Refused, match="symbolic link"):
        EventJournal.open(data_dir, NOW)


def test_a_disk_that_fails_costs_the_journal_and_not_the_node(data_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with opened(data_dir) as journal:
        told(journal, 1)

    def fails(*_: object) -> bytes:
        raise SystemRefused("cannot read 000000000001.jsonl: Input/output error.")

    with monkeypatch.context() as failing:
        failing.setattr("pulse.store.segments.read_file", fails)
        found = module.opened(data_dir, NOW)
        assert isinstance(found, Unkept)
        asked: list[Callable[[], object]] = [
            lambda: found.append([]), lambda: found.newest(1, anything), lambda: found.after(1, 1, anything),
            lambda: found.at(NOW), found.verify, found.keep_head,
        ]  # fmt: skip
        for ask in asked:
            with pytest.raises(SystemRefused, match="Input/output error"):
                ask()
        assert found.past.nodes == {}
        found.close()

    found.append([(NOW + 5, joined(2))])
    found.keep_head()
    assert names(found.newest(9, joins)) == names(found.after(0, 9, joins)) == ["node-1", "node-2"]
    assert (len(found.past.nodes), len(found.at(NOW + 2).past.nodes), found.verify().broken) == (2, 1, None)
    found.close()


def test_a_journal_others_may_read_is_refused_all_the_same(data_dir: Path) -> None:
    (data_dir / "events").mkdir(mode=0o755)
    with pytest.raises(Refused):
        module.opened(data_dir, NOW)


def flipped(data: bytes, position: int) -> bytes:
    return data[:position] + bytes([data[position] ^ 1 << position % 8]) + data[position + 1 :]


def head_of(data_dir: Path, data: bytes) -> bytes:
    """The head file as it is after that file."""
    lines = data.splitlines()
    return checked("events-head", f"{len(lines)} {lines[-1][:64].decode()}\n".encode())
