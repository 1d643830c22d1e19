"""What to say of a command line that makes no sense: what is wrong, and the nearest thing that is right.

Invariant: a word that could be a mistyped command never becomes a peer.
"""

import re
from collections.abc import Iterable
from typing import Final

from cyclopts import CycloptsError, MissingArgumentError, RepeatArgumentError, UnknownOptionError, UnusedCliTokensError
from cyclopts.exceptions import UnknownCommandError

from pulse.core.likeness import LIKE, nearest
from pulse.core.types import INVITE_PREFIX
from pulse.errors import ConfigError

CLOSE: Final = 0.8
"""How much alike a word must be to be meant although another one is the very same: parts of all letters."""

HARMFUL: Final = frozenset({"stop", "revoke", "restart"})
"""Commands that nobody is led to by a word that is only somewhat like them."""

_COMMAND: Final = re.compile(r"[A-Za-z][A-Za-z0-9_-]*")


def check_peer(word: str, commands: Iterable[str]) -> None:
    """Raise ConfigError if a word in the place of a peer reads as a command."""
    if not _COMMAND.fullmatch(word) or word.startswith(INVITE_PREFIX):
        return
    if word in commands:
        raise ConfigError(f'"{word}" is a command: it goes first, its flags after it (pulse {word} --help).')
    inside = _inside_groups(word)
    near = nearest(word, commands, CLOSE if inside else LIKE)
    if near in HARMFUL:
        near = nearest(word, (near,), CLOSE)
    meant = [f"pulse {each}" for each in (near, *inside) if each]
    told = f" Did you mean: {' or '.join(meant)}?" if meant else " See them: pulse --help"
    raise ConfigError(f'no command "{word}".{told} (To start a node with a peer, write host:port.)')


def explained(error: CycloptsError) -> str:
    """What to say of an error of the parser."""
    command = " ".join(("pulse", *(error.command_chain or ())))
    match error:
        case UnknownOptionError():
            return _unknown_flag(error, command)
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


def _unknown_flag(error: UnknownOptionError, command: str) -> str:
    flag = (error.token.keyword or error.token.value).partition("=")[0]
    # Dashes say nothing about what was meant.
    names = {name.lstrip("-"): name for argument in error.argument_collection for name in argument.names}
    near = names.get(nearest(flag.lstrip("-"), names), "")
    return f'{command} has no flag "{flag}". {f"Did you mean: {near}?" if near else f"See: {command} --help"}'


def _unused_word(error: UnusedCliTokensError | UnknownCommandError, command: str) -> str:
    word = (error.unused_tokens or [""])[0]
    inner = [name for name in error.app or () if not name.startswith("-")]
    if not inner:
        return f'{command} takes no "{word}" here. See: {command} --help'
    near = nearest(word, inner)
    told = command.removeprefix("pulse ")
    return f'no command "{told} {word}". Did you mean: {command} {near or "|".join(inner)}?'


def _missing(error: MissingArgumentError, command: str) -> str:
    if error.keyword:
        return f"{error.keyword} needs a value. See: {command} --help"
    argument = error.argument
    name = argument.name if argument else ""
    if argument and argument.index is not None:
        name = name.lstrip("-").upper()
    return f"{command} needs {name}. See: {command} --help"
