"""`pulse logs`: the file in which a node in the background writes down what it does.

Invariant: the file is read, whether the node runs or not; a file that was begun anew is followed into the new one.
"""

import os
import time
from collections import deque
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO, Annotated, Final

from cyclopts import Parameter

from pulse.cli.detached import LOG_NAME
from pulse.cli.values import DataDir
from pulse.config import SERVICE_DATA_DIR, absolute
from pulse.core.messages import printable
from pulse.errors import ConfigError, NotFound, Refused

EVERY: Final = 0.5
"""Seconds between two looks of --follow."""


def logs(
    *,
    lines: Annotated[int, Parameter(name=["--lines", "-n"], help="How many of the newest lines.")] = 50,
    follow: Annotated[bool, Parameter(name=["--follow", "-f"], help="Go on with new lines until Ctrl-C.")] = False,
    data_dir: DataDir = None,
) -> None:
    """Show the log of the node in the background, newest line last."""
    if lines < 0:
        raise ConfigError(f"--lines: {lines} is no number of lines")
    path = _log_of(data_dir, os.environ)
    with _opened(path) as file:
        for line in deque(file, maxlen=lines):
            _show(line)
        if follow:
            for line in _following(path, file):
                _show(line)


def _log_of(data_dir: Path | None, environment: Mapping[str, str]) -> Path:
    """The log of the data directory that was named, else of the first usual one that has one."""
    named = data_dir or environment.get("PULSE_DATA_DIR")
    places = [absolute(str(named))] if named else [Path.home() / ".pulse", SERVICE_DATA_DIR]
    for place in places:
        if (place / LOG_NAME).exists():
            return place / LOG_NAME
    where = ", ".join(str(place / LOG_NAME) for place in places)
    raise NotFound(
        f"no node in the background has written a log here (looked for {where}).\n"
        "One in the foreground writes to its terminal, a service to the system's journal: journalctl -u pulse"
    )


def _opened(path: Path) -> IO[str]:
    try:
        return path.open(encoding="utf-8", errors="replace")
    except OSError as error:
        raise Refused(f"cannot read {path}: {error.strerror}.\nUse sudo, or be the node's user.") from error


def _following(path: Path, file: IO[str]) -> Iterator[str]:
    """Lines as they are written; a half line waits for its end."""
    half = ""
    while True:
        for line in file:
            half += line
            if half.endswith("\n"):
                yield half
                half = ""
        time.sleep(EVERY)
        if path.exists() and _was_begun_anew(path, file):
            file.close()
            file, half = _opened(path), ""


def _was_begun_anew(path: Path, file: IO[str]) -> bool:
    there, ours = path.stat(), os.fstat(file.fileno())
    return there.st_ino != ours.st_ino or there.st_size < file.tell()


def _show(line: str) -> None:
    print(printable(line.rstrip("\n")), flush=True)
