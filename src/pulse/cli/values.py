"""What people type and read: durations, sizes of time, names, in the same words everywhere.

Invariant: a value that cannot be read is refused with an example of one that can.
"""

import datetime
import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Final

from cyclopts import Parameter

from pulse import clock
from pulse.config import absolute, default_data_dir
from pulse.core.durations import is_duration, parse_duration
from pulse.errors import ConfigError

HIGHEST_PORT: Final = 65535


def port_of(text: str) -> int:
    """A port as people type it. Raises ConfigError."""
    if not re.fullmatch(r"[0-9]{1,5}", text) or int(text) > HIGHEST_PORT:
        raise ConfigError(f'"{text}" is no port. Write a number up to {HIGHEST_PORT}, as in db-server:5432')
    return int(text)


def parse_moment(text: str, now: float) -> float:
    """Seconds since 1970 of `2h` (ago), `2026-11-26` or `2026-11-26T10:00` (UTC, unless it says else).

    Raises ConfigError.
    """
    if is_duration(text):
        return now - parse_duration(text)
    try:
        found = datetime.datetime.fromisoformat(text)
    except ValueError as error:
        raise ConfigError(f'"{text}" is no time. Write 2h (ago) or 2026-11-26T10:00 (UTC)') from error
    return (found if found.tzinfo else found.replace(tzinfo=datetime.UTC)).timestamp()


def place_of(named: Path | None) -> Path:
    """The data directory a start would take, absolute: --data-dir, PULSE_DATA_DIR, the file of settings, or the usual.

    Raises ConfigError if that file would have to tell and cannot be read.
    """
    if wanted := named or os.environ.get("PULSE_DATA_DIR"):
        return absolute(str(wanted))
    from pulse import settings

    layers = settings.layers({})
    file = Path(layers.file)
    told = settings.read_file(file).get("node", {}).get("data_dir") if layers.wanted or file.is_file() else None
    return absolute(told) if told else default_data_dir()


def _converted_duration(_: Any, tokens: Sequence[Any]) -> float:
    value = tokens[0].value
    if value.startswith("--"):
        raise ConfigError(f"{tokens[0].keyword} needs a value, such as 4h, before {value}")
    return parse_duration(value)


def _converted_moment(_: Any, tokens: Sequence[Any]) -> float:
    return parse_moment(tokens[0].value, clock.wall())


Duration = Annotated[
    float, Parameter(converter=_converted_duration, n_tokens=1, metavar="DURATION", allow_leading_hyphen=True)
]
DataDir = Annotated[Path | None, Parameter(help="Data directory of the node to ask, if not the usual one.")]
When = Annotated[float, Parameter(converter=_converted_moment, n_tokens=1, metavar="TIME")]
"""A time as people type it, in seconds since 1970."""

Json = Annotated[bool, Parameter(help="Print JSON, for programs.")]
