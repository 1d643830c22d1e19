"""What the machine around a node is like: ports, rights, interfaces, firewall, names."""

import fcntl
import json
import os
import shutil
import socket
import struct
import subprocess
import threading
import time
from collections.abc import Iterable, Mapping
from ipaddress import IPv4Network
from pathlib import Path
from typing import Any, Final

from pulse.config import NodeConfig
from pulse.core import addresses, firewall
from pulse.errors import Conflict, PulseError
from pulse.net import interfaces
from pulse.net.netlink import Netlink
from pulse.net.policyrouting import PolicyRouting
from pulse.net.policyrules import Part
from pulse.net.sockets import bind_tcp, bind_udp

PATIENCE: Final = 3.0
"""Seconds for a name to get an address, and for nft to answer."""

_CAP_NET_ADMIN: Final = 12
_GET_MTU: Final = 0x8921
"""SIOCGIFMTU of linux/sockios.h."""


def port_problems(config: NodeConfig) -> tuple[str, ...]:
    """Why the ports cannot be had that a node here would have."""
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


def tun_problem() -> str:
    """Why there can be no TUN device; empty if there can."""
    try:
        os.close(os.open("/dev/net/tun", os.O_RDWR | os.O_CLOEXEC))
    except OSError as error:
        return str(error.strerror)
    return ""


def may_configure(process: int) -> bool | None:
    """Whether a process, or we, may configure networks; None if that cannot be seen."""
    try:
        with open(f"/proc/{process or 'self'}/status", encoding="ascii", errors="replace") as status:
            rights = next(line.split()[1] for line in status if line.startswith("CapEff:"))
    except (OSError, StopIteration):
        return None
    return bool(int(rights, 16) >> _CAP_NET_ADMIN & 1)


def socket_bytes() -> int | None:
    """What the kernel lets a socket buffer, at the most; None if it does not say."""
    try:
        return min(int(Path(f"/proc/sys/net/core/{name}").read_text("ascii")) for name in ("rmem_max", "wmem_max"))
    except (OSError, ValueError):
        return None


def open_files(process: int) -> int | None:
    """How many files a process, or we, may have open; None if that has no bound or cannot be seen."""
    try:
        with open(f"/proc/{process or 'self'}/limits", encoding="ascii") as limits:
            soft = next(line.split()[3] for line in limits if line.startswith("Max open files"))
    except (OSError, StopIteration):
        return None
    return int(soft) if soft.isdecimal() else None


def mtus(ours: str) -> dict[str, int] | None:
    """Bytes of a packet by interface that leads out of here; None if they cannot be seen."""
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


def conflict(mesh: IPv4Network | None, ours: str) -> str:
    """Which route of this machine is in the way of the mesh's range; empty if none is."""
    if mesh is None:
        return ""
    try:
        interfaces.conflicts(mesh, interfaces.host_routes(), (ours,))
    except Conflict as error:
        return str(error)
    except PulseError:
        return ""
    return ""


def refuses() -> bool:
    """True if packets for exits are led to our routing table, and there is no way on from there."""
    try:
        with PolicyRouting() as kernel:
            led = any(each.part is Part.LEAD for each in kernel.rules())
            return led and not any(each.device for each in kernel.table())
    except PulseError:
        return False


def unresolved(hosts: Iterable[str]) -> tuple[tuple[str, str], ...]:
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


def dropping(port: int) -> list[str] | None:
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
