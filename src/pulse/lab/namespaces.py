"""Network namespaces, cables, switches, routes and rules, made with the system's commands.

Invariant: interfaces are made inside their namespaces, so nothing of a lab ever shows on the host but the names of its
namespaces, and those are unique; making one that exists fails.
"""

import ctypes
import subprocess
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from pulse.errors import SystemRefused
from pulse.lab.plan import Hop, Port, Segment, v4_network, v6_network

NAMESPACES: Final = Path("/run/netns")

_PACKAGES: Final = {
    "ip": "iproute2",
    "tc": "iproute2",
    "nft": "nftables",
    "conntrack": "conntrack",
}
"""Where the commands come from that a lab is made with."""

_CLONE_NEWNET: Final = 0x40000000
_libc = ctypes.CDLL(None, use_errno=True)


def ip(*arguments: str, stdin: str = "") -> str:
    """Run `ip` and return what it printed. Raises SystemRefused with its complaint."""
    return _run(["ip", *arguments], stdin)


def batch(namespace: str, commands: Iterable[str]) -> None:
    """Run several `ip` commands in a namespace, up to the first that fails. Raises SystemRefused."""
    ip("-n", namespace, "-batch", "-", stdin="\n".join(commands) + "\n")


def make_namespace(namespace: str, *, router: bool) -> None:
    """Make a namespace with its loopback up. Raises SystemRefused, also if the name is taken."""
    ip("netns", "add", namespace)
    # Addresses here are unique by construction; looking for duplicates would only make IPv6 late by seconds.
    # An interface whose cable was pulled is to have its addresses when it is plugged in again.
    names = ("accept_dad", "keep_addr_on_down")
    settings = {
        f"ipv6/conf/{scope}/{name}": value
        for scope in ("all", "default")
        for name, value in zip(names, (0, 1), strict=True)
    }
    if router:
        settings |= {"ipv4/ip_forward": 1, "ipv6/conf/all/forwarding": 1}
    script = "".join(f"echo {value} > /proc/sys/net/{name}\n" for name, value in settings.items())
    ip("netns", "exec", namespace, "sh", "-ec", script)
    batch(namespace, ["link set lo up"])


def make_switch(namespace: str, segment: Segment) -> None:
    """Make the bridge that a switched segment's cables end in."""
    batch(namespace, [f"link add {bridge(segment)} mtu {segment.mtu} type bridge", f"link set {bridge(segment)} up"])


def bridge(segment: Segment) -> str:
    """Name the bridge of a segment."""
    return f"br{segment.number}"


def lay_cable(ends: tuple[tuple[str, str], tuple[str, str]], mtu: int) -> None:
    """Join two interfaces, each given as (namespace, name), by a veth pair."""
    (here, name), (there, peer) = ends
    ip(
        *("link", "add", name, "netns", here, "mtu", str(mtu), "type", "veth"),
        *("peer", "name", peer, "netns", there, "mtu", str(mtu)),
    )


def address(namespace: str, port: Port) -> None:
    """Give a port its addresses and bring it up."""
    batch(
        namespace,
        [
            f"address add {port.v4} dev {port.interface}",
            f"address add {port.v6} dev {port.interface} nodad",
            f"link set {port.interface} address {port.mac} up",
        ],
    )


def introduce(namespace: str, port: Port, others: Iterable[Port]) -> None:
    """Let a port know others on its switch for good.

    The kernel has one table of neighbours for all namespaces, with room for 1,024 that were asked for: fifty hosts on
    a switch fill it, and then no lab of this machine gets a packet through. What is known for good does not count.
    """
    known = [f"{host.ip} lladdr {other.mac} dev {port.interface}" for other in others for host in (other.v4, other.v6)]
    batch(namespace, [f"neighbour replace {each} nud permanent" for each in known])


def plug_in(namespace: str, segment: Segment, interface: str) -> None:
    """Put the far end of a cable into a switch."""
    batch(namespace, [f"link set {interface} master {bridge(segment)}", f"link set {interface} up"])


def set_down(namespace: str, interface: str) -> None:
    """Pull the cable out of an interface."""
    batch(namespace, [f"link set {interface} down"])


def set_up(namespace: str, interface: str) -> None:
    """Plug the cable in again."""
    batch(namespace, [f"link set {interface} up"])


def add_hops(namespace: str, hops: Iterable[Hop]) -> None:
    """Add the routes of one host, in place of others that lead to the same networks; behind a NAT, one to all else."""
    commands = []
    for hop in hops:
        number = hop.to.number
        commands += [f"route replace {v4_network(number)} via {hop.via.v4.ip}"]
        if not hop.masked:
            commands += [f"route replace {v6_network(number)} via {hop.via.v6.ip}"]
        elif not any("default" in command for command in commands):
            commands += [f"route replace default via {hop.via.v4.ip}"]
    if commands:
        batch(namespace, commands)


def load_rules(namespace: str, rules: str) -> None:
    """Give a namespace rules of nftables, all of them or, if one is refused, none. Raises SystemRefused."""
    with inside(namespace):
        _run(["nft", "-f", "-"], rules)


def forget_connections(namespace: str) -> None:
    """Make the connection tracking of a namespace forget all it knows. Raises SystemRefused."""
    with inside(namespace):
        _run(["conntrack", "--flush"])


def limit_rate(namespace: str, interface: str, megabits: float) -> None:
    """Send no more than that a second from an interface, over a queue of 50 ms; 0 lifts it. Raises SystemRefused."""
    with inside(namespace):
        if megabits:
            # A bucket has to last from one tick of the kernel's clock (4 ms or less) to the next.
            burst = max(32_768, round(megabits * 1e6 / 8 / 100))
            limit = ["rate", f"{round(megabits * 1e6)}bit", "burst", str(burst), "latency", "50ms"]
            _run(["tc", "qdisc", "replace", "dev", interface, "root", "tbf", *limit])
        else:
            _run(["tc", "qdisc", "delete", "dev", interface, "root"])


def processes_in(namespace: str) -> list[int]:
    """List the processes whose network is that namespace; none if it is gone."""
    if not (NAMESPACES / namespace).exists():
        return []
    return [int(pid) for pid in ip("netns", "pids", namespace).split()]


@contextmanager
def inside(namespace: str) -> Iterator[None]:
    """Put this thread into a namespace; sockets opened meanwhile stay there. Raises OSError."""
    with open("/proc/thread-self/ns/net", "rb") as here, (NAMESPACES / namespace).open("rb") as there:
        _enter(there.fileno())
        try:
            yield
        finally:
            _enter(here.fileno())


def _enter(descriptor: int) -> None:
    # os.setns came with Python 3.12.
    if _libc.setns(descriptor, _CLONE_NEWNET) != 0:
        raise OSError(ctypes.get_errno(), "setns")


def _run(command: list[str], stdin: str = "") -> str:
    try:
        done = subprocess.run(command, input=stdin, capture_output=True, text=True, check=False, timeout=60)
    except FileNotFoundError as error:
        missing, package = command[0], _PACKAGES[command[0]]
        raise SystemRefused(f"the lab needs the command {missing}.\nInstall it: apt-get install {package}") from error
    if done.returncode:
        what = " ".join(command) + (f" < {stdin!r}" if stdin else "")
        raise SystemRefused(f"the lab could not be built: {what}: {done.stderr.strip()}")
    return done.stdout


def remove_namespace(namespace: str) -> None:
    """Remove a namespace and, with it, its interfaces; one that is gone is fine. Raises SystemRefused."""
    if (NAMESPACES / namespace).exists():
        ip("netns", "delete", namespace)
