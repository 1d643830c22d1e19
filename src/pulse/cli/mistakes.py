"""What to say of a command line that makes no sense: what is wrong, and the nearest thing that is right.

Invariant: a word that could be a mistyped command never becomes a peer.
"""

import re
from collections.abc import Iterable
from typing import Final

from cyclopts import (
    ArgumentCollection,
    CycloptsError,
    MissingArgumentError,
    RepeatArgumentError,
    UnknownOptionError,
    UnusedCliTokensError,
)
from cyclopts.exceptions import UnknownCommandError
from cyclopts.utils import is_option_like

from pulse.cli.argv import is_hidden
from pulse.core.likeness import LIKE, is_close, nearest
from pulse.core.types import INVITE_PREFIX
from pulse.errors import ConfigError

CLOSE: Final = 0.8
"""How much alike a word must be to be meant although another one is the very same: parts of all letters."""

HARMFUL: Final = frozenset(
    {"stop", "revoke", "restart", "reload", "remove", "restore", "rotate", "ungrant", "apply", "clean", "bulk"}
)
"""Commands that nobody is led to by a word that is short, or only somewhat like them."""

SHORT: Final = 3
"""Letters of a word that is like too many others."""

USUAL: Final = {"ls": "status", "ps": "status", "list": "status", "nodes": "status", "peers": "status", "up": "start"}
"""What other programs call it."""

OFTEN: Final = ("status", "token", "config")
"""Goes before others that begin with the same letters."""

_COMMAND: Final = re.compile(r"[A-Za-z][A-Za-z0-9_-]*")


def check_peer(word: str, commands: Iterable[str]) -> None:
    """Raise ConfigError if a word in the place of a peer reads as a command, or is none at all."""
    if not word.strip():
        raise ConfigError("an empty word is neither a command nor a node. See: pulse --help")
    if not _COMMAND.fullmatch(word) or word.startswith(INVITE_PREFIX):
        return
    if word in commands:
        raise ConfigError(f'"{word}" is a command: it goes first, its flags after it (pulse {word} --help).')
    inside = _inside_groups(word)
    near = _meant(word, commands, CLOSE if inside else LIKE)
    meant = [f"pulse {each}" for each in (near, *inside) if each]
    told = f" Did you mean: {' or '.join(meant)}?" if meant else " See them: pulse --help"
    raise ConfigError(f'no command "{word}".{told} (To start a node with a peer, write host:port.)')


def _meant(word: str, known: Iterable[str], least: float = LIKE) -> str:
    """The command that was perhaps meant; empty if that is anybody's guess."""
    known = [*known]
    if (usual := USUAL.get(word, "")) in known:
        return usual
    harmless = [each for each in known if each not in HARMFUL]
    if len(word) > 1 and (begun := [each for each in harmless if each.startswith(word)]):
        return next((each for each in OFTEN if each in begun), begun[0])
    if len(word) <= SHORT:
        return next((each for each in harmless if sorted(each) == sorted(word)), "")
    return next((each for each in known if each in HARMFUL and is_close(word, each, CLOSE)), "") or nearest(
        word, harmless, least
    )


def explained(error: CycloptsError) -> str:
    """What to say of an error of the parser."""
    command = " ".join(("pulse", *(error.command_chain or ())))
    match error:
        case UnknownOptionError():
            return _unknown_flag(error.token.keyword or error.token.value, error.argument_collection, command)
        case UnusedCliTokensError() | UnknownCommandError():
            return _unused_word(error, command)
        case MissingArgumentError():
            return _missing(error, command)
        case RepeatArgumentError():
            return f"{error.token.keyword} is given twice. Give it once"
    error.verbose = False
    text = str(error)
    return f"{text[:1].lower()}{text[1:]}\nSee: {command} --help"


def _inside_groups(word: str) -> list[str]:
    """Commands that are called so inside a group, such as `ca grant`."""
    from pulse.cli import acl, apikeys, ca, configfile, dns, groups, templates, tokens

    apps = (ca.app, acl.app, groups.app, tokens.app, apikeys.app, configfile.app, dns.app, templates.app)
    return [f"{app.name[0]} {word}" for app in apps if word in app]


def _unknown_flag(typed: str, arguments: ArgumentCollection, command: str) -> str:
    flag = typed.partition("=")[0]
    # Dashes say nothing about what was meant.
    names = {name.lstrip("-"): name for argument in arguments for name in argument.names}
    meant = flag.lstrip("-")
    near = names.get(nearest(meant, names), "") if len(meant) >= SHORT else ""
    return f'{command} has no flag "{flag}". {f"Did you mean: {near}?" if near else f"See: {command} --help"}'


def _unused_word(error: UnusedCliTokensError | UnknownCommandError, command: str) -> str:
    word = (error.unused_tokens or [""])[0]
    inner = [name for name in error.app or () if not name.startswith("-")]
    if not inner:
        # A secret goes by the number of a descriptor here, which nobody typed.
        secret = "second invite" if command == "pulse join" else "invite"
        shown = secret if is_hidden(word) else f'"{word}"'
        return f"{command} takes no {shown} here. See: {command} --help"
    near = _meant(word, inner)
    told = f"Did you mean: {command} {near}?" if near else f"{command} has: {', '.join(inner)}"
    return f'no command "{command.removeprefix("pulse ")} {word}". {told}'


def _missing(error: MissingArgumentError, command: str) -> str:
    if error.keyword:
        return f"{error.keyword} needs a value. See: {command} --help"
    unknown = next((word for word in error.unused_tokens or () if is_option_like(word)), "")
    if unknown and error.app:
        # What was mistyped is perhaps the very thing that is missing.
        return _unknown_flag(unknown, error.app.assemble_argument_collection(), command)
    argument = error.argument
    name = argument.name if argument else ""
    if argument and argument.index is not None:
        name = name.lstrip("-").upper()
    return f"{command} needs {name}. See: {command} --help"
