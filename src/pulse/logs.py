"""What a node writes down: one line an event, as text for people or JSON for programs.

Invariant: a line is written off the event loop's thread, and no secret gets into one.
"""

import json
import logging
import os
import queue
import re
import sys
import time
from collections.abc import Mapping
from logging.handlers import QueueHandler, QueueListener, RotatingFileHandler
from pathlib import Path
from typing import Any, Final

WAITING_LINES: Final = 10_000
"""Lines that may wait for a slow disk; what comes after is dropped and counted: the mesh matters more."""

HIDDEN: Final = "(hidden)"

_SECRET_NAMES: Final = frozenset({"token", "secret", "key", "invite", "password", "ca_token", "private_key"})
_SECRETS = re.compile(r"pl[sk]_[A-Za-z0-9_-]{8,}|[A-Za-z0-9_-]{32,}\.[0-9a-f]{64}\b")
"""Invites, API keys and printed tokens, wherever they stand."""

_PRIORITIES: Final = ((logging.ERROR, 3), (logging.WARNING, 4), (logging.INFO, 6))
"""Levels of syslog(3) for ours."""

_STANDARD: Final = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}


class BoundedQueueHandler(QueueHandler):
    """Never waits: a full queue drops the line and counts it."""

    dropped = 0
    target: logging.Handler | None = None
    """Who writes what waits."""

    def enqueue(self, record: logging.LogRecord) -> None:
        """Put the line in the queue if it has room."""
        try:
            self.queue.put_nowait(record)
        except queue.Full:
            self.dropped += 1


class KeptFile(RotatingFileHandler):
    """A file that is begun anew at a size, of which so many are kept; a disk that refuses costs lines, which count."""

    refused = 0

    def __init__(self, file: Path, size: int, files: int, *, takes_streams: bool = False) -> None:
        """With `takes_streams` the last words of a crash follow into each new file."""
        self._takes_streams = takes_streams
        super().__init__(file, maxBytes=size, backupCount=files - 1, encoding="utf-8")

    def doRollover(self) -> None:  # noqa: N802 (the name is logging's)
        """Begin a new file."""
        super().doRollover()
        if self._takes_streams and self.stream:
            for descriptor in (1, 2):
                os.dup2(self.stream.fileno(), descriptor)

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: ARG002, N802 (logging's face)
        """Count the line: to complain on standard error would be to write to the same disk."""
        self.refused += 1


class TextFormatter(logging.Formatter):
    """`2026-11-22T10:00:00.123Z INFO link opened node=4be27a3391c0`."""

    def format(self, record: logging.LogRecord) -> str:
        """One line, and the lines of a traceback below it."""
        fields = "".join(f" {name}={_plain(value)}" for name, value in _fields(record).items())
        line = f"{_stamp(record)} {record.levelname} {_one_line(hide(record.getMessage()))}{fields}"
        return line if not record.exc_info else f"{line}\n{hide(self.formatException(record.exc_info))}"


class JournalFormatter(TextFormatter):
    """`<6>link opened node=4be27a3391c0`: the journal takes level and time from us and itself (sd-daemon(3))."""

    def format(self, record: logging.LogRecord) -> str:
        """One line, and the lines of a traceback below it, under the same level."""
        level = next((number for least, number in _PRIORITIES if record.levelno >= least), 7)
        _, _, said = super().format(record).split(" ", 2)
        return "\n".join(f"<{level}>{line}" for line in said.split("\n"))


class JsonFormatter(logging.Formatter):
    """One JSON object a line: `time`, `level`, `logger`, `event` and the event's own fields."""

    def format(self, record: logging.LogRecord) -> str:
        """The object as text without a line break."""
        known: dict[str, Any] = {
            "time": _stamp(record),
            "level": record.levelname.lower(),
            "logger": record.name,
            "event": hide(record.getMessage()),
        }
        if record.exc_info:
            known["traceback"] = hide(self.formatException(record.exc_info))
        return json.dumps(_fields(record) | known, default=str)


def start(level: str, form: str = "text", file: KeptFile | None = None) -> QueueListener:
    """Send what `pulse` logs to standard error, or to `file`; stop the result at the end.

    `level` (debug, info, warn, error) and above are written; `form` is text or json. Where standard error is the
    system's journal, text is as that wants it.
    """
    target: logging.Handler = file or logging.StreamHandler(sys.stderr)
    text = JournalFormatter() if file is None and is_journal(os.environ) else TextFormatter()
    target.setFormatter(JsonFormatter() if form == "json" else text)
    waiting: queue.Queue[logging.LogRecord] = queue.Queue(WAITING_LINES)
    root = logging.getLogger()
    handler = BoundedQueueHandler(waiting)
    handler.target = target
    root.handlers = [handler]
    root.setLevel(logging.WARNING)
    set_level(level)
    listener = QueueListener(waiting, target)
    listener.start()
    return listener


def lost() -> int:
    """Lines of this process that found no room, in the queue or on the disk."""
    handlers = [each for each in logging.getLogger().handlers if isinstance(each, BoundedQueueHandler)]
    return sum(each.dropped + getattr(each.target, "refused", 0) for each in handlers)


def set_level(level: str) -> None:
    """From now on `level` (debug, info, warn, error) and above are written."""
    logging.getLogger("pulse").setLevel("WARNING" if level == "warn" else level.upper())


def is_journal(environment: Mapping[str, str]) -> bool:
    """True if what goes to standard error lands in the system's journal (systemd.exec(5), JOURNAL_STREAM)."""
    try:
        there = os.fstat(2)
    except OSError:
        return False
    return environment.get("JOURNAL_STREAM") == f"{there.st_dev}:{there.st_ino}"


def hide(text: str) -> str:
    """The text with invites and tokens taken out."""
    return _SECRETS.sub(HIDDEN, text)


def _fields(record: logging.LogRecord) -> dict[str, Any]:
    extra = {name: value for name, value in vars(record).items() if name not in _STANDARD}
    return {name: HIDDEN if name in _SECRET_NAMES else _safe(value) for name, value in extra.items()}


def _safe(value: object) -> Any:
    return value if isinstance(value, int | float | None) else hide(str(value))


def _plain(value: object) -> str:
    """The value as one word, quoted if it needs to be; so no field can forge a line or move a terminal."""
    text = str(value)
    return text if text.isprintable() and re.fullmatch(r"[^\s\"=]+", text) else json.dumps(text)


def _stamp(record: logging.LogRecord) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created)) + f".{int(record.msecs):03d}Z"


def _one_line(text: str) -> str:
    return "".join(char if char.isprintable() else ascii(char)[1:-1] for char in text)
