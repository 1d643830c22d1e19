"""Lines of the log: their form, and what never gets into one."""

import io
import json
import logging
import queue
from collections.abc import Iterator
from pathlib import Path

import pytest

from pulse import logs

PRINTED = "Zm9v" * 10 + "abc." + "a" * 64
INVITE = "pls_AQBfk6hyZWxheTo0NDM"


@pytest.fixture(autouse=True)
def put_back() -> Iterator[None]:
    """Leave the root logger as it was."""
    root, pulse = logging.getLogger(), logging.getLogger("pulse")
    handlers, level, ours = root.handlers[:], root.level, pulse.level
    yield
    root.handlers = handlers
    root.setLevel(level)
    pulse.setLevel(ours)


def written(tmp_path: Path, form: str, level: str = "info") -> list[str]:
    """The lines of a short story, told at every level."""
    listener = logs.start(level, form, tmp_path / "pulse.log")
    log = logging.getLogger("pulse.test")
    log.debug("probe sent", extra={"peer": "db-server"})
    log.info("link opened with token %s", PRINTED, extra={"peer": "db-server", "token": "hunter2", "rtt": 0.02})
    log.warning("invite used", extra={"text": f"join {INVITE} now", "said": "two words"})
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
    for secret in (PRINTED, INVITE, "hunter2"):
        assert secret not in text


def test_a_field_cannot_forge_a_line(tmp_path: Path) -> None:
    listener = logs.start("info", "text", tmp_path / "pulse.log")
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
