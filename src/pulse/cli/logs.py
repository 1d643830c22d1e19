"""`pulse logs`: the file in which a node in the background writes down what it does.

Invariant: the file is read, whether the node runs or not; a file that was begun anew is followed into the new one.
"""

import contextlib
import os
import re
import shutil
import sys
import time
from collections import deque
from collections.abc import Iterator, Mapping
from itertools import count
from pathlib import Path
from typing import IO, Annotated, Final

from cyclopts import Parameter

from pulse.cli.detached import LOG_NAME
from pulse.cli.output import print_json
from pulse.cli.values import DataDir, Json
from pulse.config import SERVICE_DATA_DIR, absolute
from pulse.core.messages import printable
from pulse.errors import ConfigError, NotFound, Refused

UNIT: Final = "/etc/systemd/system/pulse.service"

_LINE: Final = re.compile(r"(?P<time>\d{4}-\S+Z) (?P<level>[A-Z]+) (?P<text>.*)")

EVERY: Final = 0.5
"""Seconds between two looks of --follow."""


def logs(
    *,
    lines: Annotated[int, Parameter(name=["--lines", "-n"], help="How many of the newest lines (50).")] = 50,
    follow: Annotated[bool, Parameter(name=["--follow", "-f"], help="Go on with new lines until Ctrl-C.")] = False,
    json: Json = False,
    data_dir: DataDir = None,
) -> None:
    """Show what the node in the background wrote down.

    Newest line last; with --json one object a line.
    """
    show = _show_json if json else _show
    if lines < 0:
        raise ConfigError(f"--lines: {lines} is no number of lines")
    path = _log_of(data_dir, os.environ, _of_the_system(lines, follow=follow, json=json))
    with _opened(path) as file:
        for line in _last(path, file, lines):
            show(line)
        if follow:
            for line in _following(path, file):
                show(line)


def _of_the_system(lines: int, *, follow: bool, json: bool) -> list[str]:
    more = [*(["-f"] if follow else []), *(["-o", "json"] if json else [])]
    return ["journalctl", "-u", "pulse", "-n", str(lines), *more]


def _log_of(data_dir: Path | None, environment: Mapping[str, str], journal: list[str]) -> Path:
    """The log of the data directory that was named, else of the first usual one that has one.

    Where a service writes to the system's journal instead, this process becomes the command `journal`.
    """
    named = data_dir or environment.get("PULSE_DATA_DIR")
    places = [absolute(str(named))] if named else [Path.home() / ".pulse", SERVICE_DATA_DIR]
    for place in places:
        if (place / LOG_NAME).exists():
            return place / LOG_NAME
    if SERVICE_DATA_DIR in places and Path(UNIT).exists() and shutil.which(journal[0]):
        os.execvp(journal[0], journal)
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


def _last(path: Path, newest: IO[str], lines: int) -> list[str]:
    """The newest lines, over the border of a file that was just begun; `newest` is read to its end."""
    found = deque(newest, maxlen=lines)
    for older in _older(path):
        if len(found) >= lines:
            break
        with _opened(older) as file:
            found.extendleft(reversed(deque(file, maxlen=lines - len(found))))
    return [*found]


def _older(path: Path) -> Iterator[Path]:
    """The files before the one that is written, the newest first: `pulse.log.1`, `pulse.log.2`…"""
    for number in count(1):
        older = path.with_name(f"{path.name}.{number}")
        if not older.exists():
            return
        yield older


def _following(path: Path, file: IO[str]) -> Iterator[str]:
    """Lines as they are written, each once, also those of files that came and went; a half line waits for its end."""
    half = ""
    while True:
        for line in file:
            half += line
            if half.endswith("\n"):
                yield half
                half = ""
        following = _next(path, file)
        if following is None:
            time.sleep(EVERY)
            continue
        # What was written between our last look and the turn is in the old file.
        yield from (half + file.read()).splitlines(keepends=True)
        file.close()
        file, half = _opened(following), ""


def _next(path: Path, file: IO[str]) -> Path | None:
    """The file after the one we read: itself if it was cut off, None while ours is the newest."""
    ours = os.fstat(file.fileno())
    files = [path, *_older(path)]
    with contextlib.suppress(FileNotFoundError):
        for place, each in enumerate(files):
            there = each.stat()
            if there.st_ino == ours.st_ino:
                if place:
                    return files[place - 1]
                return path if there.st_size < file.tell() else None
    # It is gone: so many files were begun since that ours is none of those that are kept.
    return files[-1] if path.exists() else None


def _show(line: str) -> None:
    print(printable(line.rstrip("\n")), flush=True)


def _show_json(line: str) -> None:
    """A line of the node as JSON if it is none yet; one of a traceback has no time and no level."""
    line = line.rstrip("\n")
    if line.startswith("{"):
        print(line, flush=True)
        return
    found = _LINE.fullmatch(line)
    print_json(found.groupdict() if found else {"time": None, "level": None, "text": line})
    sys.stdout.flush()
