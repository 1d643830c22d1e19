"""Looks at the machine a node lives on, for `pulse doctor`: files, ports, rights, interfaces, firewall, names.

Invariant: it changes nothing, and whatever cannot be seen is said to be so; each look takes seconds at most.
"""

import contextlib
import fcntl
import json
import os
import secrets
import shutil
import socket
import struct
import subprocess
import threading
import time
from collections.abc import Iterable, Iterator, Mapping
from ipaddress import IPv4Network
from pathlib import Path
from typing import Any, Final

from pulse import clock
from pulse.config import NodeConfig
from pulse.core import addresses, firewall
from pulse.core.network.netconfig import open_config
from pulse.core.symptoms import Machine
from pulse.core.trust.authorities import trusted_authorities
from pulse.core.trust.roles import open_roles
from pulse.errors import Conflict, NotFound, PulseError
from pulse.net import interfaces
from pulse.net.netlink import Netlink
from pulse.net.sockets import bind_tcp, bind_udp
from pulse.schemas.operating import Checkup
from pulse.store import backup, events, files
from pulse.store.identity import DIRECTORY, Identity, read
from pulse.store.netconfig import DIRECTORY as NETWORK
from pulse.store.netconfig import NetworkStore

PATIENCE: Final = 3.0
"""Seconds for a name to get an address, and for nft to answer."""

_CAP_NET_ADMIN: Final = 12
_GET_MTU: Final = 0x8921
"""SIOCGIFMTU of linux/sockios.h."""
_TRIAL_BYTES: Final = 4096


def look(config: NodeConfig, config_problem: str, checkup: Checkup | None, silence: str, version: str) -> Machine:
    """All that can be seen from outside; `checkup` is what the node that runs told, `silence` why it told nothing."""
    data_dir = Path(checkup.data_dir) if checkup else config.data_dir
    port = checkup.port if checkup else config.listen[1]
    wants_tun = checkup.tun if checkup else config.tun.enabled
    with _as_owner(data_dir):
        found = _files_of(data_dir, running=checkup is not None)
        tun_problem = _tun_problem() if wants_tun else ""
        range_ = IPv4Network(checkup.mesh_cidr) if checkup and checkup.mesh_cidr else _range(data_dir, config)
    holder = int(found.get("holder", 0)) or (checkup.pid if checkup else 0)
    return Machine(
        data_dir=str(data_dir),
        version=version,
        config_problem=config_problem,
        silence=silence if holder and checkup is None else "",
        port=port,
        port_problems=() if holder else _port_problems(config),
        tun_wanted=wants_tun,
        tun_problem=tun_problem,
        may_configure=_may_configure(holder),
        socket_bytes=_socket_bytes(),
        mtus=_mtus(checkup.device if checkup else config.tun.name),
        unresolved=_unresolved(checkup.hosts if checkup else [addresses.split(each)[0] for each in config.relays]),
        dropping=_dropping(port),
        route_conflict=_conflict(range_, checkup.device if checkup else config.tun.name) if wants_tun else "",
        wall=clock.wall(),
        open_files=_open_files(holder),
        **{**found, "holder": holder},
    )


# The data directory


@contextlib.contextmanager
def _as_owner(data_dir: Path) -> Iterator[None]:
    """Root looks at a service's files as the service's user, as which they have to be readable."""
    try:
        owner = data_dir.stat().st_uid
    except OSError:
        owner = os.geteuid()
    if os.geteuid() != 0 or owner == 0:
        yield
        return
    os.seteuid(owner)
    try:
        yield
    finally:
        os.seteuid(0)


def _files_of(data_dir: Path, *, running: bool) -> dict[str, Any]:
    if not data_dir.exists():
        return {}
    if not os.access(data_dir, os.R_OK | os.X_OK) and data_dir.stat().st_uid != os.geteuid():
        return {"closed": f"{data_dir} is closed to this user: use sudo"}
    found: dict[str, Any] = {"holder": _holder(data_dir)}
    found["disk_free"], found["disk_problem"] = _disk(data_dir)
    found["member"] = (data_dir / DIRECTORY).exists()
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


def _range(data_dir: Path, config: NodeConfig) -> IPv4Network | None:
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


# The machine


def _port_problems(config: NodeConfig) -> tuple[str, ...]:
    host, port = config.listen
    problems = []
    try:
        bind_udp(host, port).close()
    except PulseError as error:
        problems.append(str(error))
    try:
        bind_tcp(host, port).close()
    except OSError as error:
        told = f"TCP port {port} cannot be had, so there are no WebSockets: {error.strerror}."
        problems.append(f"{told}\nSee who has it: ss -tlpn 'sport = :{port}'")
    return tuple(problems) if port else ()


def _tun_problem() -> str:
    try:
        os.close(os.open("/dev/net/tun", os.O_RDWR | os.O_CLOEXEC))
    except OSError as error:
        return str(error.strerror)
    return ""


def _may_configure(process: int) -> bool | None:
    try:
        with open(f"/proc/{process or 'self'}/status", encoding="ascii", errors="replace") as status:
            rights = next(line.split()[1] for line in status if line.startswith("CapEff:"))
    except (OSError, StopIteration):
        return None
    return bool(int(rights, 16) >> _CAP_NET_ADMIN & 1)


def _socket_bytes() -> int | None:
    try:
        return min(int(Path(f"/proc/sys/net/core/{name}").read_text("ascii")) for name in ("rmem_max", "wmem_max"))
    except (OSError, ValueError):
        return None


def _open_files(process: int) -> int | None:
    try:
        with open(f"/proc/{process or 'self'}/limits", encoding="ascii") as limits:
            soft = next(line.split()[3] for line in limits if line.startswith("Max open files"))
    except (OSError, StopIteration):
        return None
    return int(soft) if soft.isdecimal() else None


def _mtus(ours: str) -> dict[str, int] | None:
    try:
        with Netlink() as kernel:
            found = {each.interface for each in kernel.addresses() if interfaces.reachable([each], (ours,))}
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
            return {name: _mtu(asking, name) for name in sorted(found)}
    except (PulseError, OSError):
        return None


def _mtu(asking: socket.socket, interface: str) -> int:
    answer = fcntl.ioctl(asking, _GET_MTU, struct.pack("16sI12x", interface.encode(), 0))
    return int(struct.unpack("16sI12x", answer)[1])


def _conflict(mesh: IPv4Network | None, ours: str) -> str:
    if mesh is None:
        return ""
    try:
        interfaces.conflicts(mesh, interfaces.host_routes(), (ours,))
    except Conflict as error:
        return str(error)
    except PulseError:
        return ""
    return ""


def _unresolved(hosts: Iterable[str]) -> tuple[tuple[str, str], ...]:
    """Names without an address. They are asked for all at once: a resolver that is away would take long over each."""
    answers: dict[str, str] = {}

    def ask(host: str) -> None:
        try:
            socket.getaddrinfo(host, None)
            answers[host] = ""
        except OSError as error:
            answers[host] = error.strerror or str(error)

    names = [each for each in dict.fromkeys(hosts) if not addresses.is_ip(each)]
    asking = [threading.Thread(target=ask, args=(name,), daemon=True) for name in names]
    for each in asking:
        each.start()
    until = time.monotonic() + PATIENCE
    for each in asking:
        each.join(max(0.0, until - time.monotonic()))
    silent = f"no answer within {PATIENCE:g} s"
    return tuple((name, why) for name in names if (why := answers.get(name, silent)))


def _dropping(port: int) -> list[str] | None:
    """Rules of nftables that drop what comes to our port; None if they cannot be read."""
    program = shutil.which("nft", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin")
    if program is None or os.geteuid() != 0:
        return None
    try:
        done = subprocess.run([program, "-j", "list", "ruleset"], capture_output=True, timeout=PATIENCE, check=True)
        ruleset: Mapping[str, Any] = json.loads(done.stdout)
    except (OSError, subprocess.SubprocessError, ValueError):
        return None
    return firewall.dropping(ruleset, port)
