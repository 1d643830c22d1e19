"""Secrets leave the command line: everybody on the machine may read /proc/<pid>/cmdline.

A command that was typed with a secret executes itself again; each secret is then named by the descriptor of a
pipe that holds it (`--token /dev/fd/3`). Invariant: only the first instants of a process show what was typed.
"""

import os
import re
import sys
from collections.abc import Sequence
from itertools import takewhile
from typing import Final

from pulse.config import DEFAULT_TUNNELS, OFF
from pulse.core.addresses import split
from pulse.core.types import INVITE_PREFIX
from pulse.errors import ConfigError
from pulse.interpreter import program

SECRET_FLAGS: Final = ("--token", "--ca-token", "--key")

_PIPE_HOLDS: Final = 32 * 1024
"""Characters that a pipe takes without a reader; nothing so long is a token."""

_DESCRIPTOR = re.compile(r"/dev/fd/(\d{1,9})")


def withdraw_secrets(arguments: Sequence[str]) -> None:
    """Execute this command again without secrets in its arguments; returns if there are none."""
    hidden = [_hide(word, before) for word, before in zip(arguments, ["", *arguments], strict=False)]
    if hidden == [*arguments]:
        return
    started_with = sys.orig_argv[: -len(arguments)]
    if sys.orig_argv[len(started_with) :] != [*arguments] or "-c" in started_with:
        started_with = program("pulse")
    sys.stdout.flush()
    os.execv(sys.executable, [*started_with, *hidden])


def spelled_out(arguments: Sequence[str]) -> list[str]:
    """The same arguments, `--tcp` with the value it has where none was typed, an invite without its terms."""
    arguments = _without_terms(arguments)
    following = [*arguments, ""][1:]
    return [
        f"{word}={DEFAULT_TUNNELS}" if word == "--tcp" and not _is_address(after) else word
        for word, after in zip(arguments, following, strict=True)
    ]


def revealed(word: str, flag: str = "") -> str:
    """The secret a word stands for: that of `/dev/fd/N`, a line of standard input for `-`, else the word itself.

    Raises ConfigError that names `flag` if there is none to be read.
    """
    if word == "-":
        return _only_word(sys.stdin.readline(_PIPE_HOLDS), flag, "standard input")
    named = _DESCRIPTOR.fullmatch(word)
    if named is None:
        return word
    try:
        with os.fdopen(int(named[1]), encoding="utf-8") as pipe:
            return _only_word(pipe.read(), flag, word)
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{flag}: {word} cannot be read".removeprefix(": ")) from error


def is_hidden(word: str) -> bool:
    """True if a word stands for a secret that was typed there."""
    return _DESCRIPTOR.fullmatch(word) is not None


def _only_word(text: str, flag: str, source: str) -> str:
    if not text.strip():
        raise ConfigError(f"{flag}: {source} is empty".removeprefix(": "))
    return text.strip()


def _without_terms(arguments: Sequence[str]) -> Sequence[str]:
    """Without what `pulse invite` tells beside an invite, and was pasted with it: `good for 1 hour and one machine`."""
    for place, word in enumerate(arguments, 1):
        told = [*takewhile(lambda each: not each.startswith("-"), arguments[place:])]
        if (is_hidden(word) or word.startswith(INVITE_PREFIX)) and told[:2] in (["good", "for"], ["good", "until"]):
            return [*arguments[:place], *arguments[place + len(told) :]]
    return arguments


def _is_address(word: str) -> bool:
    if word == OFF:
        return True
    try:
        split(word)
    except ValueError:
        return False
    return True


def _hide(word: str, before: str) -> str:
    flag, equals, value = word.partition("=")
    if equals and flag in SECRET_FLAGS:
        return f"{flag}={_in_pipe(value)}"
    return _in_pipe(word) if before in SECRET_FLAGS or word.startswith(INVITE_PREFIX) else word


def _in_pipe(secret: str) -> str:
    if secret in {"", "-"} or _DESCRIPTOR.fullmatch(secret) or len(secret) > _PIPE_HOLDS:
        return secret
    reader, writer = os.pipe()
    os.set_inheritable(reader, True)
    os.write(writer, secret.encode(errors="surrogateescape"))
    os.close(writer)
    return f"/dev/fd/{reader}"
