"""Rules in a file, TOML or JSON, as `pulse acl check` and `pulse acl diff` take them.

    [[rules]]
    from = "tag:backend"
    to = ["tag:db", "db-server"]
    proto = ["tcp"]
    ports = [5432]

Invariant: what is read here can be read by every node, or is refused with the place in the file.
"""

import sys
import tomllib
from contextlib import nullcontext, suppress
from datetime import datetime
from typing import Any

import msgspec

from pulse.core import strictjson
from pulse.errors import ConfigError
from pulse.schemas.policy import RuleFile

LIMIT = 1024 * 1024
"""Bytes of a file."""


def read(name: str) -> RuleFile:
    """The rules in a file, or in what comes on standard input for `-`; raises ConfigError."""
    text = text_of(name)
    found = _decoded(name, text)
    held = {"rules": found} if isinstance(found, list) else found
    try:
        return msgspec.convert(timed(held), RuleFile)
    except msgspec.ValidationError as error:
        raise ConfigError(f"{name}: {error}") from error


def _decoded(name: str, text: str) -> Any:
    with suppress(ValueError, RecursionError):
        return strictjson.decode(text)
    try:
        return tomllib.loads(text)
    except (ValueError, RecursionError) as error:
        raise ConfigError(f"{name} is neither JSON nor TOML: {error}") from error


def text_of(name: str) -> str:
    """The text of a file, or of standard input for `-`; raises ConfigError."""
    try:
        with nullcontext(sys.stdin.buffer) if name == "-" else open(name, "rb") as file:
            data = file.read(LIMIT + 1)
    except OSError as error:
        raise ConfigError(f"cannot read {name}: {error.strerror}") from error
    if len(data) > LIMIT:
        raise ConfigError(f"{'standard input' if name == '-' else name} is longer than {LIMIT} bytes")
    try:
        # Editors of other systems write a byte order mark first.
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ConfigError(f"{name} is no text in UTF-8") from error


def timed(value: Any) -> Any:
    """The same with TOML's moments as seconds since 1970; raises ConfigError for one without a zone."""
    if isinstance(value, dict):
        return {key: timed(each) for key, each in value.items()}
    if isinstance(value, list):
        return [timed(each) for each in value]
    if isinstance(value, datetime):
        if value.tzinfo is None:
            raise ConfigError(f"{value.isoformat()} says no zone. Write {value.isoformat()}Z")
        return value.timestamp()
    return value
