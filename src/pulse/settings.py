"""Where settings come from: defaults, TOML file, environment and flags, merged once, the later over the earlier.

A setting is known by its TOML path (`tun.enabled`), its flag (`--tun`) and its variable (`PULSE_TUN`).
Invariant: nothing unknown is ignored; an error names the path, where it came from, and the nearest name.
"""

import os
import re
import stat
import tomllib
from collections.abc import Iterable, Mapping
from functools import partial
from pathlib import Path
from typing import IO, Any, Final

import msgspec

from pulse import remote, tomllines
from pulse.checks import check, check_offers, check_whole, near
from pulse.config import SERVICE_CONFIG, SERVICE_DATA_DIR, Exit, NodeConfig, absolute, default_data_dir, split
from pulse.core.likeness import nearest
from pulse.core.types import INVITE_PREFIX
from pulse.errors import ConfigError
from pulse.flags import LISTS, NUMBERS, OTHERS, SETTINGS, SWITCHES, VARIABLES

FILE_LIMIT: Final = 1 << 20
"""Characters of a file with settings."""
TOKEN_FILE_LIMIT: Final = 4096
ROUTES_FILE_LIMIT: Final = 65536

_OF_A_NETWORK: Final = "settings"
"""A section that the file of a whole network begins with, and no node has."""

MISTYPED: Final = 0.85
"""How much alike a variable is to one of ours that is taken for a slip: a letter of six or so."""

_TRUE: Final = frozenset({"1", "true", "yes", "on"})
_FALSE: Final = frozenset({"0", "false", "no", "off"})

_IN_FILES: Final = (("join", "token"), ("node", "tcp_token"), ("socks", "password"))
"""Secrets that can stand in a file of their own, which a key with `_file` at its end names."""

_JOINING: Final = frozenset({"join.token", "join.token_file", "join.invite"})


def load(
    flags: Mapping[str, object],
    peers: tuple[str, ...] = (),
    file: Path | None = None,
    environment: Mapping[str, str] | None = None,
) -> NodeConfig:
    """Merge defaults < `file` < `environment` < `flags` (by flag name; None means not given).

    Without `file`, PULSE_CONFIG is read, else `config.toml` in the data directory if there is one.
    A peer that begins with pls_ is an invite. Raises ConfigError.
    """
    return layers(flags, peers, file, environment).merged()


class Layers(msgspec.Struct, frozen=True):
    """Where the settings of a node come from, to be merged again once the file has changed.

    Secrets by which a machine joins may be in it: it goes to our own child alone, as `dumps` does.
    """

    file: str = ""
    """Absolute; empty for none."""
    wanted: bool = False
    """Somebody named the file, so it has to be there."""
    environment: dict[str, Any] = {}
    flags: dict[str, Any] = {}

    def at_start(self) -> tuple[NodeConfig, str]:
        """The settings for a start, which nothing that was set from afar prevents; why that is left out, if it is.

        Raises ConfigError for all that somebody here can mend.
        """
        try:
            return self.merged(), ""
        except ConfigError as error:
            return self.merged(afar=False), f"started without what was set from afar: {error}"

    def merged(self, *, afar: bool = True) -> NodeConfig:
        """The settings as they are now, with what was set from afar or without. Raises ConfigError."""
        file = read_file(Path(self.file)) if self.file and (self.wanted or os.path.isfile(self.file)) else {}
        sources = ((self.file, file), ("the environment", self.environment), ("the flags", self.flags))
        merged: dict[str, Any] = {}
        for source, values in sources[1:]:
            judge(values, source)
        for source, values in sources:
            _lay(merged, values, source)
        _tell_listened(merged)
        config = _converted(merged, "the settings")
        distant = remote.read(config) if afar else {}
        if distant:
            merged = {}
            for source, values in (sources[0], ("the settings from afar", distant), *sources[1:]):
                _lay(merged, values, source)
            _tell_listened(merged)
            config = _converted(merged, "the settings")
            check(config)
        return _finish(config)

    def lasting(self, config: NodeConfig) -> "Layers":
        """The same wherever the process goes from here, without what only a first start takes.

        Paths are those of `config`, which these layers made.
        """
        flags = {section: dict(inner) for section, inner in self.flags.items()}
        environment = {section: dict(inner) for section, inner in self.environment.items()}
        for values in (flags, environment):
            for key in ("token", "token_file", "invite"):
                values.get("join", {}).pop(key, None)
        _put(flags, "node.data_dir", config.node.data_dir)
        _put(flags, "control.socket", config.control.socket)
        return Layers(self.file, self.wanted, environment, flags)


def layers(
    flags: Mapping[str, object],
    peers: tuple[str, ...] = (),
    file: Path | None = None,
    environment: Mapping[str, str] | None = None,
) -> Layers:
    """What `load` merges. Raises ConfigError."""
    variables = os.environ if environment is None else environment
    named = file or (Path(variables["PULSE_CONFIG"]) if variables.get("PULSE_CONFIG") else None)
    place = absolute(str(named)) if named else _usual_file(flags, variables)
    return Layers(str(place), named is not None, _from_environment(variables), _from_flags(flags, peers))


def dumps(config: NodeConfig) -> bytes:
    """The settings as JSON, secrets too: for the pipe to our own child, never for a file or a log."""
    return msgspec.json.encode(config)


def loads(data: bytes) -> NodeConfig:
    """The settings back from `dumps`."""
    return msgspec.json.decode(data, type=NodeConfig)


def changed(old: NodeConfig, new: NodeConfig) -> list[str]:
    """Paths of the settings in which two differ, those aside by which a machine joins."""
    pairs = ((section, getattr(old, section), getattr(new, section)) for section in old.__struct_fields__)
    return [
        f"{section}.{key}"
        for section, ours, theirs in pairs
        for key in ours.__struct_fields__
        if getattr(ours, key) != getattr(theirs, key) and f"{section}.{key}" not in _JOINING
    ]


def updated(old: NodeConfig, new: NodeConfig, paths: Iterable[str]) -> NodeConfig:
    """The old settings, but for those at `paths`, which are as in the new ones."""
    for path in paths:
        section, _, key = path.partition(".")
        value = getattr(getattr(new, section), key)
        old = msgspec.structs.replace(old, **{section: msgspec.structs.replace(getattr(old, section), **{key: value})})
    return old


def placed(config: NodeConfig) -> NodeConfig:
    """The settings with absolute paths: the same wherever the node then runs."""
    return msgspec.structs.replace(
        config,
        node=msgspec.structs.replace(config.node, data_dir=str(config.data_dir)),
        control=msgspec.structs.replace(config.control, socket=str(config.socket)),
    )


def _usual_file(flags: Mapping[str, object], variables: Mapping[str, str]) -> Path:
    data_dir = flags.get("data-dir") or variables.get("PULSE_DATA_DIR") or default_data_dir()
    usual = absolute(str(data_dir)) / "config.toml"
    if absolute(str(data_dir)) == SERVICE_DATA_DIR and not usual.exists() and SERVICE_CONFIG.exists():
        return SERVICE_CONFIG
    return usual


def _from_environment(variables: Mapping[str, str]) -> dict[str, Any]:
    values: dict[str, Any] = {}
    known = {name.removeprefix("PULSE_"): name for name in VARIABLES}
    # What is like none of ours is somebody else's: PulseAudio has variables of that name.
    for name in (each for each in variables if each.startswith("PULSE_") and each not in OTHERS | VARIABLES.keys()):
        if meant := nearest(name.removeprefix("PULSE_"), known, MISTYPED):
            raise ConfigError(f"{name}: no setting has this variable. Did you mean: {known[meant]}?")
    for variable, path in VARIABLES.items():
        if variables.get(variable):
            _put(values, path, _from_text(path, variable, variables[variable]))
    return values


def _from_flags(flags: Mapping[str, object], peers: tuple[str, ...]) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for flag, value in flags.items():
        if value is not None:
            path = SETTINGS[flag]
            _put(values, path, _listed(value) if path in LISTS else value)
    addresses = [peer for peer in peers if not peer.startswith(INVITE_PREFIX)]
    invites = [peer for peer in peers if peer.startswith(INVITE_PREFIX)]
    if len(invites) > 1:
        raise ConfigError(f"{len(invites)} invites were given. Give one: a machine joins one network")
    if addresses:
        _put(values, "bootstrap.peers", addresses)
    if invites:
        _put(values, "join.invite", invites[0])
    return values


def _from_text(path: str, variable: str, text: str) -> object:
    if path in SWITCHES:
        if text.lower() in _TRUE | _FALSE:
            return text.lower() in _TRUE
        raise ConfigError(f"{variable}: {text!r} is neither yes nor no")
    if path in NUMBERS:
        try:
            return float(text) if path == "persist.interval" else int(text)
        except ValueError:
            raise ConfigError(f"{variable}: {text!r} is no number") from None
    return _listed(text) if path in LISTS else text


def _listed(text: object) -> list[str]:
    return [each.strip() for each in str(text).split(",")]


def read_file(path: Path) -> dict[str, Any]:
    """What a file says, by section and key. Raises ConfigError, which names file, line and key."""
    try:
        # Editors of other systems write a byte order mark first.
        with path.expanduser().open(encoding="utf-8-sig") as stream:
            _check_closed(stream, str(path))
            text = _whole(stream, FILE_LIMIT, str(path))
        values = tomllib.loads(text)
    except FileNotFoundError as error:
        raise ConfigError(f"--config: there is no file {path}") from error
    except OSError as error:
        raise ConfigError(f"--config: cannot read {path}: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} is no TOML: {error}") from error
    try:
        judge(values, str(path))
        _lay({}, values, str(path))
    except ConfigError as error:
        raise ConfigError(_with_line(str(error), str(path), text)) from error
    return values


def value_of(path: str, text: str) -> object:
    """A setting as people type it, for the key at `path`. Raises ConfigError."""
    value = _from_text(path, path, text)
    values: dict[str, Any] = {}
    _put(values, path, value)
    judge(values, "the settings")
    return value


def judge(values: dict[str, Any], source: str) -> None:
    """Refuse sections, keys and values that are none, by their path. Raises ConfigError."""
    _refuse_unknown(values, source)
    check(_converted(values, source), partial(_called, source=source))


def _with_line(said: str, source: str, text: str) -> str:
    """The error with the line of the key that it names, where that is certain."""
    what = said.removeprefix(f"{source}: ")
    for path, line in sorted(tomllines.lines(text).items(), key=lambda each: -len(each[0])):
        name = re.escape(".".join(map(str, path)))
        if re.match(rf"(?:unknown (?:key|section) )?\[?{name}(?!\w|\.\w)", what):
            return f"{source}:{line}: {what}"
    return said


def _refuse_unknown(values: dict[str, Any], source: str) -> None:
    sections = {field.name: field.type for field in msgspec.structs.fields(NodeConfig)}
    for section, inner in values.items():
        if section == _OF_A_NETWORK:
            told = f"[{section}] is of a network's config. For such a file: pulse config plan {source}"
            raise ConfigError(f"{source}: {told}")
        if section not in sections:
            raise ConfigError(f"{source}: unknown section [{section}]{near(section, sections)}")
        if not isinstance(inner, dict):
            raise ConfigError(f"{source}: {section} is a section. Write [{section}] above its keys")
        known = [field.name for field in msgspec.structs.fields(sections[section])]
        for key in inner:
            if key not in known:
                raise ConfigError(f"{source}: unknown key {section}.{key}{near(key, known)}")


def _converted(values: dict[str, Any], source: str) -> NodeConfig:
    try:
        return msgspec.convert(values, NodeConfig)
    except msgspec.ValidationError as error:
        what, _, place = str(error).partition(" - at `$.")
        path = place.rstrip("`")
        what = f"{what[:1].lower()}{what[1:].replace('`', '')}"
        choices = " (debug, info, warn or error)" if path == "node.log_level" else ""
        raise ConfigError(f"{_called(path, source)}: {what}{choices}") from error


def _called(path: str, source: str) -> str:
    """How people call a setting in the place where they set it."""
    if source == "the flags":
        return next((f"--{flag}" for flag, known in SETTINGS.items() if known == path), path)
    if source == "the environment":
        return next((name for name, known in VARIABLES.items() if known == path), path)
    return f"{source}: {path}"


def _lay(merged: dict[str, Any], values: dict[str, Any], source: str) -> None:
    """Put a layer over those before it; a secret and the file that holds it replace each other."""
    for section, key in _IN_FILES:
        inner, file_key = values.get(section, {}), f"{key}_file"
        if inner.get(key) and inner.get(file_key):
            one, other = _called(f"{section}.{key}", source), _called(f"{section}.{file_key}", source)
            raise ConfigError(f"{one} and {other} exclude each other. Give one")
        if inner.get(key) or inner.get(file_key):
            merged.get(section, {}).update({key: "", file_key: ""})
    for section, inner in values.items():
        merged.setdefault(section, {}).update(inner)


def _tell_listened(merged: dict[str, Any]) -> None:
    """Who says only where to listen wants others told that port."""
    node = merged.get("node", {})
    if node.get("listen") and not node.get("addr"):
        _, port = split(node["listen"], "node.listen")
        node["addr"] = f":{port}"


def _check_closed(file: IO[str], called: str) -> None:
    """Raise ConfigError for a file that any user could write."""
    it = os.fstat(file.fileno())
    if stat.S_ISREG(it.st_mode) and it.st_mode & stat.S_IWOTH:
        raise ConfigError(f"{called}: every user of this machine can write it. Close it: chmod o-w {file.name}")


def _whole(file: IO[str], limit: int, called: str) -> str:
    """All of its text. Raises ConfigError if there is more than can be meant."""
    text = file.read(limit + 1)
    if len(text) > limit:
        raise ConfigError(f"{called} is longer than {limit} characters, so it is not what is looked for here")
    return text


def _put(values: dict[str, Any], path: str, value: object) -> None:
    section, _, key = path.partition(".")
    values.setdefault(section, {})[key] = value


def _finish(config: NodeConfig) -> NodeConfig:
    join = config.join
    if join.token_file:
        join = msgspec.structs.replace(
            join, token=_read_secret(absolute(join.token_file), "join.token_file", "token"), token_file=""
        )
    if join.token.startswith(INVITE_PREFIX):
        join = msgspec.structs.replace(join, invite=join.invite or join.token, token="")
    socks = config.socks
    if socks.password_file:
        password = _read_secret(absolute(socks.password_file), "socks.password_file", "password")
        socks = msgspec.structs.replace(socks, password=password, password_file="")
    node = config.node
    if node.tcp_token_file:
        token = _read_secret(absolute(node.tcp_token_file), "node.tcp_token_file", "token")
        node = msgspec.structs.replace(node, tcp_token=token, tcp_token_file="")
    finished = msgspec.structs.replace(config, join=join, node=node, socks=socks, exit=_offers(config.exit))
    check_whole(finished)
    return finished


def _offers(exits: Exit) -> Exit:
    """With the ranges of its file among the others."""
    if not exits.routes_file:
        return exits
    file = absolute(exits.routes_file)
    try:
        with file.open(encoding="utf-8") as stream:
            text = _whole(stream, ROUTES_FILE_LIMIT, f"exit.routes_file: {file}")
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not text"
        raise ConfigError(f"exit.routes_file: cannot read {file}: {reason}") from error
    lines = (line.partition("#")[0].strip() for line in text.splitlines())
    cidrs = tuple(dict.fromkeys((*exits.cidrs, *(line for line in lines if line))))
    check_offers(cidrs, f"exit.routes_file: {file}")
    return msgspec.structs.replace(exits, cidrs=cidrs, routes_file="")


def _read_secret(file: Path, path: str, what: str) -> str:
    try:
        with file.open(encoding="utf-8") as stream:
            _check_closed(stream, f"{path}: {file}")
            text = _whole(stream, TOKEN_FILE_LIMIT, f"{path}: {file}").strip()
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not text"
        raise ConfigError(f"{path}: cannot read {file}: {reason}") from error
    if len(text.split()) != 1:
        raise ConfigError(f"{path}: {file} must hold one {what} and nothing else")
    return text
