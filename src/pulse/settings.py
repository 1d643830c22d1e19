"""Where settings come from: defaults, TOML file, environment and flags, merged once, the later over the earlier.

A setting is known by its TOML path (`tun.enabled`), its flag (`--tun`) and its variable (`PULSE_TUN`).
Invariant: nothing unknown is ignored; an error names the path, where it came from, and the nearest name.
"""

import difflib
import os
import tomllib
from collections.abc import Iterable, Mapping
from functools import partial
from pathlib import Path
from typing import Any, Final

import msgspec

from pulse.config import NodeConfig, absolute, check, check_whole, default_data_dir
from pulse.core.types import INVITE_PREFIX
from pulse.errors import ConfigError

TOKEN_FILE_LIMIT: Final = 4096

SETTINGS: Final = {
    "addr": "node.addr",
    "listen": "node.listen",
    "data-dir": "node.data_dir",
    "network": "node.network_id",
    "name": "node.name",
    "log-level": "node.log_level",
    "tcp": "node.tcp_listen",
    "join": "join.relay_addr",
    "token": "join.token",
    "token-file": "join.token_file",
    "ca": "ca.enabled",
    "ca-token": "ca.join_token",
    "force-time": "ca.force_time",
    "scribe": "scribe.enabled",
    "scribe-listen": "scribe.listen",
    "tun": "tun.enabled",
    "tun-queues": "tun.queues",
    "fec": "tun.fec",
    "dns": "dns.enabled",
    "dns-listen": "dns.listen",
    "mesh-cidr": "tun.cidr",
    "socks": "socks.enabled",
    "socks-listen": "socks.listen",
    "portmap": "portmap.enabled",
    "beacon": "beacon.enabled",
    "birthday": "nat.birthday",
}
"""Flag (without its dashes) to TOML path; the variable is PULSE_ and the flag in capitals."""

_NO_FLAG: Final = (
    "node.log_format",
    "node.tcp_token",
    "node.tcp_token_file",
    "node.reverse_forwards",
    "bootstrap.peers",
    "bootstrap.dns_domain",
    "scribe.hosts",
    "ca.cert_life",
    "tun.name",
    "socks.user",
    "socks.password",
    "socks.password_file",
    "persist.enabled",
    "persist.interval",
    "control.socket",
)
"""Settings without a flag; their variable is PULSE_, section and key: PULSE_TUN_NAME."""

VARIABLES: Final = {f"PULSE_{flag.upper().replace('-', '_')}": path for flag, path in SETTINGS.items()} | {
    f"PULSE_{path.upper().replace('.', '_')}": path for path in _NO_FLAG
}
"""Environment variable to TOML path. Others named PULSE_… are none of ours: PulseAudio has some."""

_SWITCHES: Final = frozenset(
    {
        "node.reverse_forwards",
        "ca.enabled",
        "ca.force_time",
        "scribe.enabled",
        "tun.enabled",
        "tun.fec",
        "dns.enabled",
        "socks.enabled",
        "portmap.enabled",
        "persist.enabled",
        "beacon.enabled",
        "nat.birthday",
    }
)
_NUMBERS: Final = frozenset({"ca.cert_life", "tun.queues", "persist.interval"})
_LISTS: Final = frozenset({"bootstrap.peers", "scribe.hosts"})
_TRUE: Final = frozenset({"1", "true", "yes", "on"})
_FALSE: Final = frozenset({"0", "false", "no", "off"})

_IN_FILES: Final = (("join", "token"), ("node", "tcp_token"), ("socks", "password"))
"""Secrets that can stand in a file of their own, which a key with `_file` at its end names."""

LATER: Final = {
    "exit": "the exit node",
}
"""Settings of the design that this version does not have yet, and what they are about."""


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
    variables = os.environ if environment is None else environment
    named = file or _usual_file(flags, variables)
    merged: dict[str, Any] = {}
    for source, values in (
        (str(named), _read(named) if named else {}),
        ("the environment", _from_environment(variables)),
        ("the flags", _from_flags(flags, peers)),
    ):
        _refuse_unknown(values, source)
        check(_converted(values, source), partial(_called, source=source))
        _lay(merged, values, source)
    return _finish(_converted(merged, "the settings"))


def dumps(config: NodeConfig) -> bytes:
    """The settings as JSON, secrets too: for the pipe to our own child, never for a file or a log."""
    return msgspec.json.encode(config)


def loads(data: bytes) -> NodeConfig:
    """The settings back from `dumps`."""
    return msgspec.json.decode(data, type=NodeConfig)


def _usual_file(flags: Mapping[str, object], variables: Mapping[str, str]) -> Path | None:
    if variables.get("PULSE_CONFIG"):
        return Path(variables["PULSE_CONFIG"])
    data_dir = flags.get("data-dir") or variables.get("PULSE_DATA_DIR") or default_data_dir()
    usual = absolute(str(data_dir)) / "config.toml"
    return usual if os.path.isfile(usual) else None


def _from_environment(variables: Mapping[str, str]) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for variable, path in VARIABLES.items():
        if variables.get(variable):
            _put(values, path, _from_text(path, variable, variables[variable]))
    return values


def _from_flags(flags: Mapping[str, object], peers: tuple[str, ...]) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for flag, value in flags.items():
        if value is not None:
            _put(values, SETTINGS[flag], value)
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
    if path in _SWITCHES:
        if text.lower() in _TRUE | _FALSE:
            return text.lower() in _TRUE
        raise ConfigError(f"{variable}: {text!r} is neither yes nor no")
    if path in _NUMBERS:
        try:
            return float(text) if path == "persist.interval" else int(text)
        except ValueError:
            raise ConfigError(f"{variable}: {text!r} is no number") from None
    return [each.strip() for each in text.split(",")] if path in _LISTS else text


def _read(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.expanduser().read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise ConfigError(f"--config: there is no file {path}") from error
    except OSError as error:
        raise ConfigError(f"--config: cannot read {path}: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} is no TOML: {error}") from error


def _refuse_unknown(values: dict[str, Any], source: str) -> None:
    sections = {field.name: field.type for field in msgspec.structs.fields(NodeConfig)}
    for section, inner in values.items():
        if section in LATER:
            raise ConfigError(f"{source}: [{section}]: {LATER[section]} is not in this version of pulse. Take it out")
        if section not in sections:
            raise ConfigError(f"{source}: unknown section [{section}]{_near(section, sections)}")
        if not isinstance(inner, dict):
            raise ConfigError(f"{source}: {section} is a section. Write [{section}] above its keys")
        known = [field.name for field in msgspec.structs.fields(sections[section])]
        for key in inner:
            if (path := f"{section}.{key}") in LATER:
                raise ConfigError(f"{source}: {path}: {LATER[path]} is not in this version of pulse. Take it out")
            if key not in known:
                raise ConfigError(f"{source}: unknown key {path}{_near(key, known)}")


def _near(word: str, known: Iterable[str]) -> str:
    found = difflib.get_close_matches(word, [*known], n=1)
    return f". Did you mean: {found[0]}?" if found else f". Known are: {', '.join(known)}"


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
    finished = msgspec.structs.replace(config, join=join, node=node, socks=socks)
    check_whole(finished)
    return finished


def _read_secret(file: Path, path: str, what: str) -> str:
    try:
        with file.open(encoding="utf-8") as stream:
            text = stream.read(TOKEN_FILE_LIMIT).strip()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not text"
        raise ConfigError(f"{path}: cannot read {file}: {reason}") from error
    if len(text.split()) != 1:
        raise ConfigError(f"{path}: {file} must hold one {what} and nothing else")
    return text
