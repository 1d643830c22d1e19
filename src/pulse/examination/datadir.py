"""What the data directory of a node says: who has it, whether it can be read and written, what is damaged."""

import contextlib
import fcntl
import os
import secrets
from ipaddress import IPv4Network
from pathlib import Path
from typing import Any, Final

from pulse.config import NodeConfig
from pulse.core.network.netconfig import open_config
from pulse.core.trust.authorities import trusted_authorities
from pulse.core.trust.roles import open_roles
from pulse.errors import NotFound, PulseError
from pulse.store import backup, events, files, undo
from pulse.store.identity import DIRECTORY, Identity, read
from pulse.store.netconfig import DIRECTORY as NETWORK
from pulse.store.netconfig import NetworkStore

_TRIAL_BYTES: Final = 4096


def state(data_dir: Path, *, running: bool) -> dict[str, Any]:
    """What `Machine` says of it, by field."""
    if not data_dir.exists():
        return {}
    if not os.access(data_dir, os.R_OK | os.X_OK) and data_dir.stat().st_uid != os.geteuid():
        return {"closed": f"{data_dir} is closed to this user: use sudo"}
    found: dict[str, Any] = {"holder": _holder(data_dir)}
    found["disk_free"], found["disk_problem"] = _disk(data_dir)
    left, found["undo_problem"] = _left(data_dir)
    found["left"] = () if running or found["holder"] else left
    found["member"] = files.newest(data_dir / DIRECTORY).exists()
    try:
        files.check_directory(data_dir)
        backup.check_whole(data_dir)
        if held := _identity(data_dir):
            found["certificate_from"] = float(held.certificate.not_before)
            found["certificate_until"] = float(held.certificate.not_after)
        found["state_problem"] = _damage(data_dir)
        found["journal_problem"] = "" if running else _journal(data_dir)
    except PulseError as error:
        found["state_problem"] = str(error)
    return found


def _identity(data_dir: Path) -> Identity | None:
    try:
        return read(data_dir)
    except NotFound:
        return None


def _damage(data_dir: Path) -> str:
    """What of the stored network cannot be read; a node starts all the same, with what came before."""
    if not (data_dir / NETWORK).exists():
        return ""
    store = NetworkStore(data_dir)
    warnings = (store.load_config().warning, store.load_roles().warning, store.load_chain().warning)
    told = next((each for each in warnings if each), "")
    return f"{told}\nstart the node near another one: it fetches it again" if told else ""


def _left(data_dir: Path) -> tuple[tuple[str, ...], str]:
    """What a node has set on this machine, and why nobody can tell; empty if that can be told."""
    entries, damage = undo.load(data_dir)
    if damage:
        return ("nobody knows what, for its list is damaged",), damage
    return tuple(f"{each.kind} {each.place}" for each in entries), ""


def _journal(data_dir: Path) -> str:
    found = events.verified(data_dir)
    return "" if found.broken is None else f"entry {found.broken}: {found.reason}"


def _holder(data_dir: Path) -> int:
    """The process that has the data directory; 0 if none has: what the file says then is of a node that is gone."""
    try:
        descriptor = os.open(data_dir / "lock", os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError:
        return 0
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return int(os.read(descriptor, 32).strip() or b"1")
    except OSError:
        return 0
    finally:
        os.close(descriptor)
    return 0


def _disk(data_dir: Path) -> tuple[int, str]:
    """Free bytes, and why a small file cannot be written."""
    trial = data_dir / f".doctor.{secrets.token_hex(4)}.new"
    space = os.statvfs(data_dir)
    try:
        files.write_file(trial, bytes(_TRIAL_BYTES))
        trial.unlink()
    except PulseError as error:
        return space.f_bavail * space.f_frsize, str(error).partition("\n")[0].rpartition(": ")[2].rstrip(".")
    return space.f_bavail * space.f_frsize, ""


def range_of(data_dir: Path, config: NodeConfig) -> IPv4Network | None:
    """The mesh's range as the network config on disk has it; else the one that was asked for."""
    if not (data_dir / NETWORK).exists():
        return config.mesh_range
    store = NetworkStore(data_dir)
    with contextlib.suppress(PulseError):
        roles, found = store.load_roles().data, store.load_config().data
        if roles is not None and found is not None and (held := _identity(data_dir)):
            network = held.certificate.network
            trusted = trusted_authorities(network, held.authorities, held.successions)
            office = open_roles(roles, network, trusted).roles
            return open_config(found, network, trusted, office, office.scribe_key).mesh_cidr
    return config.mesh_range
