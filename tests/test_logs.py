"""Lines of the log: their form, and what never gets into one."""

import contextlib
import io
import json
import logging
import os
import queue
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from pulse import logs
from tests.namespace import require_root

PRINTED = "Zm9v" * 10 + "abc." + "a" * 64
INVITE = "pls_AQBfk6hyZWxheTo0NDM"
API_KEY = "plk_" + "kQ3" * 14


@pytest.fixture(autouse=True)
def put_back() -> Iterator[None]:
    """Leave the root logger as it was."""
    root, pulse = logging.getLogger(), logging.getLogger("pulse")
    handlers, level, ours = root.handlers[:], root.level, pulse.level
    yield
    root.handlers = handlers
    root.setLevel(level)
    pulse.setLevel(ours)


def kept(tmp_path: Path, size: int = 1 << 20, files: int = 3) -> logs.KeptFile:
    return logs.KeptFile(tmp_path / "pulse.log", size, files)


def written(tmp_path: Path, form: str, level: str = "info") -> list[str]:
    """The lines of a short story, told at every level."""
    listener = logs.start(level, form, kept(tmp_path))
    log = logging.getLogger("pulse.test")
    log.debug("probe sent", extra={"peer": "db-server"})
    log.info("link opened with token %s", PRINTED, extra={"peer": "db-server", "token": "hunter2", "rtt": 0.02})
    log.warning("invite used", extra={"text": f"join {INVITE} now", "said": "two words"})
    log.debug("request of a stranger", extra={"path": f"/api?k={API_KEY}"})
    try:
        raise ValueError(f"cannot read {INVITE}")
    except ValueError:
        log.exception("service failed")
    listener.stop()
    for handler in listener.handlers:
        handler.close()
    return (tmp_path / "pulse.log").read_text().splitlines()


def test_text_is_one_line_an_event(tmp_path: Path) -> None:
    first = written(tmp_path, "text")[0]

    stamp, line = first.split(" ", 1)
    assert len(stamp) == len("2026-11-22T10:00:00.123Z")
    assert line == "INFO link opened with token (hidden) peer=db-server token=(hidden) rtt=0.02"


def test_json_is_one_object_an_event(tmp_path: Path) -> None:
    first = json.loads(written(tmp_path, "json")[0])

    assert first["level"] == "info"
    assert first["event"] == "link opened with token (hidden)"
    assert first["logger"] == "pulse.test"
    assert (first["peer"], first["rtt"]) == ("db-server", 0.02)


@pytest.mark.parametrize("form", ["text", "json"])
def test_no_secret_is_written(tmp_path: Path, form: str) -> None:
    text = "\n".join(written(tmp_path, form, "debug"))

    assert "service failed" in text
    assert "ValueError" in text
    for secret in (PRINTED, INVITE, API_KEY, "hunter2"):
        assert secret not in text


def test_a_field_cannot_forge_a_line(tmp_path: Path) -> None:
    listener = logs.start("info", "text", kept(tmp_path))
    logging.getLogger("pulse.test").info("name seen\n2026 INFO forged", extra={"text": "x\n2026 INFO forged"})
    listener.stop()
    for handler in listener.handlers:
        handler.close()

    assert len((tmp_path / "pulse.log").read_text().splitlines()) == 1


@pytest.mark.parametrize(("level", "most"), [("debug", 0), ("info", 1), ("warn", 2), ("error", 3)])
def test_a_level_leaves_out_what_is_below(tmp_path: Path, level: str, most: int) -> None:
    events = ["probe sent", "link opened", "invite used", "service failed"]
    text = "\n".join(written(tmp_path, "text", level))

    assert [event in text for event in events] == [place >= most for place in range(4)]


def test_without_a_file_lines_go_to_standard_error(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = io.StringIO()
    monkeypatch.setattr("sys.stderr", stream)
    listener = logs.start("info")
    logging.getLogger("pulse.test").info("node started")
    listener.stop()

    assert stream.getvalue().endswith("INFO node started\n")


def test_a_full_queue_drops_and_counts_instead_of_waiting() -> None:
    handler = logs.BoundedQueueHandler(queue.Queue(1))

    for _ in range(3):
        handler.emit(logging.makeLogRecord({"msg": "x"}))

    assert handler.dropped == 2


def test_no_text_in_a_line_moves_a_terminal() -> None:
    record = logging.makeLogRecord({"msg": "link closed: \x1b[2J\u202e", "levelname": "INFO", "said": "\x1b[2J\u202e"})

    line = logs.TextFormatter().format(record)

    assert line.endswith(r'INFO link closed: \x1b[2J\u202e said="\u001b[2J\u202e"')


def test_a_file_is_begun_anew_at_its_size_and_so_many_are_kept(tmp_path: Path) -> None:
    listener = logs.start("info", "text", kept(tmp_path, 1000, 3))
    log = logging.getLogger("pulse.test")
    for number in range(200):
        log.info("link opened", extra={"number": number})
    listener.stop()
    for handler in listener.handlers:
        handler.close()

    files = sorted(tmp_path.iterdir())
    assert [each.name for each in files] == ["pulse.log", "pulse.log.1", "pulse.log.2"]
    assert all(each.stat().st_size <= 1000 for each in files)
    assert (tmp_path / "pulse.log").read_text().endswith("number=199\n")


def test_a_disk_that_is_full_costs_lines_which_are_counted_and_it_goes_on_after(tmp_path: Path) -> None:
    require_root()
    with tiny_disk(tmp_path) as disk:
        listener = logs.start("info", "text", kept(disk))
        log = logging.getLogger("pulse.test")
        ballast = disk / "ballast"
        with contextlib.suppress(OSError):
            ballast.write_bytes(bytes(1 << 20))
        for number in range(300):
            log.info("link opened", extra={"number": number})
        until(lambda: logs.lost() > 0)
        ballast.unlink()
        log.info("there is room")
        log.info("there is more")
        listener.stop()
        for handler in listener.handlers:
            handler.close()
        assert "there is more" in (disk / "pulse.log").read_text()


@contextlib.contextmanager
def tiny_disk(tmp_path: Path) -> Iterator[Path]:
    place = tmp_path / "disk"
    place.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "none", str(place)], check=True)
    try:
        yield place
    finally:
        subprocess.run(["umount", "-l", str(place)], check=True)


def until(true: Callable[[], bool]) -> None:
    for _ in range(3000):
        if true():
            return
        time.sleep(0.01)
    raise AssertionError("waited 30 s in vain")


def test_the_last_words_of_a_crash_follow_into_a_new_file(tmp_path: Path) -> None:
    code = (
        "import logging, os, sys; from pathlib import Path; from pulse import logs;"
        "file = logs.KeptFile(Path(sys.argv[1]), 1000, 2, takes_streams=True);"
        "[file.emit(logging.makeLogRecord({'msg': 'x' * 99})) for _ in range(12)]; os.write(2, b'last words')"
    )
    subprocess.run([sys.executable, "-c", code, str(tmp_path / "pulse.log")], check=True)

    assert (tmp_path / "pulse.log").read_text().endswith("last words")


def test_the_journal_gets_levels_and_no_times() -> None:
    record = logging.makeLogRecord({"msg": "disk full", "levelname": "WARNING", "levelno": 30, "error": "no space"})

    assert logs.JournalFormatter().format(record) == '<4>disk full error="no space"'
    record.exc_info = (ValueError, ValueError("x"), None)
    assert all(line.startswith("<4>") for line in logs.JournalFormatter().format(record).splitlines())


def test_standard_error_is_the_journal_if_the_manager_says_so_of_this_very_stream() -> None:
    there = os.fstat(2)

    assert logs.is_journal({"JOURNAL_STREAM": f"{there.st_dev}:{there.st_ino}"})
    assert not logs.is_journal({"JOURNAL_STREAM": f"{there.st_dev}:{there.st_ino + 1}"})
    assert not logs.is_journal({})


def test_a_level_can_change_while_the_node_runs(tmp_path: Path) -> None:
    listener = logs.start("info", "text", kept(tmp_path))
    log = logging.getLogger("pulse.test")
    log.debug("unseen")
    logs.set_level("debug")
    log.debug("seen")
    logs.set_level("warn")
    log.info("unseen")
    listener.stop()
    for handler in listener.handlers:
        handler.close()

    assert [line.rsplit(" ", 1)[1] for line in (tmp_path / "pulse.log").read_text().splitlines()] == ["seen"]
