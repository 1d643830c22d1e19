"""`pulse bug-report`: one archive with what helps to find a fault, which its owner can read through and send.

Invariant: no key, token, invite or password gets into it; nothing is sent anywhere. No link is followed: root would
pack what the service's user pointed one at.
"""

import io
import os
import platform
import shutil
import stat
import subprocess
import sys
import tarfile
import time
import tomllib
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Annotated, Final

import msgspec
from cyclopts import Parameter

from pulse import release
from pulse.calls.acls import AclCalls
from pulse.calls.events import EventCalls
from pulse.cli import doctor
from pulse.cli.detached import LOG_NAME
from pulse.cli.output import tick
from pulse.cli.values import DataDir
from pulse.client import Client, candidates
from pulse.config import SERVICE_CONFIG, SERVICE_DATA_DIR, NodeConfig
from pulse.core.redaction import HIDDEN, Redactor, known, names_secret
from pulse.errors import Conflict, PulseError, SystemRefused
from pulse.schemas.events import EventsQuery

NAME: Final = "pulse-bug-report"
LOG_BYTES: Final = 2 << 20
"""Of each log file, its end."""
EVENTS: Final = 1000
PATIENCE: Final = 10.0

COMMANDS: Final = {
    "interfaces.txt": ("ip", "address"),
    "routes.txt": ("ip", "route", "show", "table", "all"),
    "rules.txt": ("ip", "rule"),
    "firewall.txt": ("nft", "list", "ruleset"),
    "sockets.txt": ("ss", "-tulpn"),
    "journal.txt": ("journalctl", "-u", "pulse", "-n", "5000", "--no-pager"),
}
"""What the machine is asked, where it has the command."""


def bug_report(
    *,
    output: Annotated[
        Path | None, Parameter(name=("--output", "-o"), help="The file to write (pulse-bug-report-….tar.gz here).")
    ] = None,
    addresses: Annotated[
        bool, Parameter(negative="--no-addresses", help="Leave addresses and host names in (yes).")
    ] = True,
    data_dir: DataDir = None,
) -> None:
    """Pack what helps to find a fault, without secrets.

    Status, events, log, settings and what the doctor finds go into one file. Keys, tokens, invites and passwords
    are taken out; with --no-addresses addresses are words that tell them apart.
    """
    stamp = time.strftime("%Y%m%d-%H%M%S", time.gmtime())
    path = output or Path(f"{NAME}-{stamp}.tar.gz")
    wanted, problem = doctor.settings_of(None, data_dir)
    cleaner = _cleaner(wanted, addresses=addresses)
    parts = {name: cleaner.cleaned(text) for name, text in _parts(wanted, problem, data_dir)}
    _write(path, f"{NAME}-{stamp}", parts)
    tick(f"wrote {path} ({path.stat().st_size // 1024 + 1} KiB): {', '.join(sorted(parts))}")
    print("Look through it before you send it: no secrets are in it that pulse knows of, and names of nodes are.")


def _cleaner(config: NodeConfig, *, addresses: bool) -> Redactor:
    secrets = [
        config.join.token,
        config.join.invite,
        config.ca.join_token,
        config.node.tcp_token,
        config.socks.password,
    ]
    variables = ("PULSE_TOKEN", "PULSE_CA_TOKEN", "PULSE_NODE_TCP_TOKEN", "PULSE_SOCKS_PASSWORD")
    secrets += [os.environ.get(name, "") for name in variables]
    for file in _readable(config.data_dir.rglob, "*.pem"):
        with suppress(OSError):
            secrets.append(_read(file).decode("ascii", errors="replace"))
    for file in _settings_files(config):
        with suppress(OSError, ValueError):
            secrets += _secrets_in(tomllib.loads(_read(file).decode()))
    named = (each.rpartition(":")[0] for each in (*config.relays, config.node.addr))
    hosts = {each for each in (*named, platform.node()) if each and not each.startswith("[")}
    return Redactor(known(secrets), frozenset(hosts), addresses)


def _parts(config: NodeConfig, problem: str, data_dir: Path | None) -> Iterator[tuple[str, str]]:
    """Name and text of each part; what cannot be had says why."""
    which = f"{release.version()} (commit {release.shown(release.commit())})"
    yield "pulse.txt", f"pulse {which}\n{platform.platform()}\nPython {sys.version}\n{problem}\n"
    found = doctor.diagnose(config, problem, data_dir)
    yield "doctor.json", msgspec.json.format(msgspec.json.encode(doctor.answer(found))).decode()
    yield from _of_node(data_dir)
    for path in _settings_files(config):
        yield f"{path.parent.name}-{path.stem}.json" if path == SERVICE_CONFIG else f"{path.stem}.json", _settings(path)
    yield "files.txt", _listing(config.data_dir)
    for log in _readable(config.data_dir.glob, f"{LOG_NAME}*"):
        yield log.name, _text(log)
    for name, command in COMMANDS.items():
        if program := shutil.which(command[0], path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"):
            yield name, _output(program, *command[1:])


def _of_node(data_dir: Path | None) -> Iterator[tuple[str, str]]:
    """What the node that runs tells."""
    for path in candidates(data_dir):
        try:
            with Client(path, PATIENCE) as client:
                asked: dict[str, Callable[[], object]] = {
                    "status.json": client.status,
                    "certificate.json": client.certificate,
                    "policy.json": AclCalls(client).policy,
                    "events.json": lambda: EventCalls(client).events(EventsQuery(limit=EVENTS)),
                }
                for name, ask in asked.items():
                    yield name, _told(ask)
                return
        except PulseError as error:
            yield "node.txt", f"{path}: {error}\n"


def _told(ask: Callable[[], object]) -> str:
    try:
        return msgspec.json.format(msgspec.json.encode(ask())).decode()
    except PulseError as error:
        return str(error)


def _readable(find: Callable[[str], Iterator[Path]], pattern: str) -> list[Path]:
    """Files that fit and are no links; none in a directory that is closed to us."""
    try:
        return sorted(each for each in find(pattern) if each.is_file() and not each.is_symlink())
    except OSError:
        return []


def _read(path: Path) -> bytes:
    """The end of a plain file; raises OSError of a link, of one with a second name, and of what is no file."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    with os.fdopen(descriptor, "rb") as file:
        it = os.fstat(file.fileno())
        if not stat.S_ISREG(it.st_mode) or it.st_nlink > 1:
            raise OSError(0, "no plain file of one name, so it is left out")
        file.seek(max(0, it.st_size - LOG_BYTES))
        return file.read(LOG_BYTES)


def _text(path: Path) -> str:
    try:
        return _read(path).decode(errors="replace")
    except OSError as error:
        return f"{path}: {error.strerror}\n"


def _settings_files(config: NodeConfig) -> list[Path]:
    ours = [config.data_dir / name for name in ("config.toml", "remote.toml")]
    files = [*ours, SERVICE_CONFIG] if config.data_dir == SERVICE_DATA_DIR else ours
    return [path for path in files if os.path.lexists(path)]


def _settings(path: Path) -> str:
    """What a file sets; never its text, for comments hold secrets under no name."""
    try:
        values = tomllib.loads(_read(path).decode())
    except OSError as error:
        return f"{path}: {error.strerror}\n"
    except ValueError as error:
        return f"{path} is no TOML: {error}\n"
    return msgspec.json.format(msgspec.json.encode(_without_secrets(values))).decode()


def _without_secrets(values: object) -> object:
    match values:
        case dict():
            return {
                name: HIDDEN if isinstance(value, str) and value and names_secret(name) else _without_secrets(value)
                for name, value in values.items()
            }
        case list():
            return [_without_secrets(each) for each in values]
    return values


def _secrets_in(values: object) -> Iterator[str]:
    if isinstance(values, dict):
        for name, value in values.items():
            if isinstance(value, str) and names_secret(name):
                yield value
            yield from _secrets_in(value)
    elif isinstance(values, list):
        for each in values:
            yield from _secrets_in(each)


def _listing(data_dir: Path) -> str:
    lines = []
    for path in _readable(data_dir.rglob, "*"):
        with suppress(OSError):
            it = path.stat()
            lines.append(f"{it.st_mode:o} {it.st_uid}:{it.st_gid} {it.st_size:>10} {path.relative_to(data_dir)}")
    return "\n".join(lines) + "\n"


def _output(*command: str) -> str:
    try:
        done = subprocess.run(command, capture_output=True, timeout=PATIENCE, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        return f"{command[0]}: {error}\n"
    return (done.stdout + done.stderr)[-LOG_BYTES:].decode(errors="replace")


def _write(path: Path, directory: str, parts: dict[str, str]) -> None:
    """The archive, for its owner alone; a file that is there stays."""
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
        with os.fdopen(descriptor, "wb") as file, tarfile.open(fileobj=file, mode="w:gz") as archive:
            for name, text in sorted(parts.items()):
                data = text.encode()
                entry = tarfile.TarInfo(f"{directory}/{name}")
                entry.size, entry.mode = len(data), 0o600
                archive.addfile(entry, io.BytesIO(data))
    except FileExistsError as error:
        raise Conflict(f"{path} is there already.\nWrite another file: --output") from error
    except OSError as error:
        raise SystemRefused(f"cannot write {path}: {error.strerror}.\nWrite it elsewhere: --output") from error
