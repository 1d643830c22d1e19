"""What a node writes down: one line an event, as text for people or JSON for programs.

Invariant: a line is written off the event loop's thread, and no secret gets into one.
"""

import json
import logging
import queue
import re
import sys
import time
from logging.handlers import QueueHandler, QueueListener, RotatingFileHandler
from pathlib import Path
from typing import Any, Final

WAITING_LINES: Final = 10_000
"""Lines that may wait for a slow disk; what comes after is dropped and counted: the mesh matters more."""

FILE_BYTES: Final = 10_000_000
OLD_FILES: Final = 2

HIDDEN: Final = "(hidden)"

_SECRET_NAMES: Final = frozenset({"token", "secret", "key", "invite", "password", "ca_token", "private_key"})
_SECRETS = re.compile(r"pls_[A-Za-z0-9_-]{8,}|[A-Za-z0-9_-]{32,}\.[0-9a-f]{64}\b")
"""Invites and printed tokens, wherever they stand."""

_STANDARD: Final = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}


class BoundedQueueHandler(QueueHandler):
    """Never waits: a full queue drops the line and counts it."""

    dropped = 0

    def enqueue(self, record: logging.LogRecord) -> None:
        """Put the line in the queue if it has room."""
        try:
            self.queue.put_nowait(record)
        except queue.Full:
            self.dropped += 1


class TextFormatter(logging.Formatter):
    """`2026-11-22T10:00:00.123Z INFO link opened node=4be27a3391c0`."""

    def format(self, record: logging.LogRecord) -> str:
        """One line, and the lines of a traceback below it."""
        fields = "".join(f" {name}={_plain(value)}" for name, value in _fields(record).items())
        line = f"{_stamp(record)} {record.levelname} {_one_line(hide(record.getMessage()))}{fields}"
        return line if not record.exc_info else f"{line}\n{hide(self.formatException(record.exc_info))}"


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


def start(level: str, form: str = "text", file: Path | None = None) -> QueueListener:
    """Send what `pulse` logs to standard error, or to `file`, which rotates; stop the result at the end.

    `level` (debug, info, warn, error) and above are written; `form` is text or json.
    """
    target: logging.Handler = logging.StreamHandler(sys.stderr)
    if file is not None:
        target = RotatingFileHandler(file, maxBytes=FILE_BYTES, backupCount=OLD_FILES, encoding="utf-8")
    target.setFormatter(JsonFormatter() if form == "json" else TextFormatter())
    waiting: queue.Queue[logging.LogRecord] = queue.Queue(WAITING_LINES)
    root = logging.getLogger()
    root.handlers = [BoundedQueueHandler(waiting)]
    root.setLevel(logging.WARNING)
    logging.getLogger("pulse").setLevel("WARNING" if level == "warn" else level.upper())
    listener = QueueListener(waiting, target)
    listener.start()
    return listener


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
