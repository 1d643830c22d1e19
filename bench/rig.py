"""What every bench stands on: nodes on lab hosts, iperf3 and pings between them, processor time and memory of daemons.

Invariant: figures are taken here and judged nowhere; a bench prints one JSON object as its last line.
"""

import argparse
import json
import os
import re
import socket
import statistics
import struct
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from pulse import clock
from pulse.core.types import SHORT_ID
from pulse.errors import PulseError
from pulse.lab.host import Host, Running, wait_until
from pulse.lab.mesh import PORT, admit, found, row, start, status, wait_paths
from pulse.lab.namespaces import inside

__all__ = ["PORT", "admit", "found", "row", "start", "status", "wait_paths"]
"""Of the lab, for benches to have all from here."""

WARM_UP = 1.0
"""Seconds of a transfer that do not count: TCP finds its pace."""

TICK = os.sysconf("SC_CLK_TCK")
PATIENCE = 60.0

_R = TypeVar("_R", bound=msgspec.Struct)
_ECHO, _ECHO_REPLY = 8, 0
_BETWEEN_ECHOES = 0.005
_BETWEEN_LOOKS = 0.002


def main(
    parser: argparse.ArgumentParser,
    bench: Callable[[argparse.Namespace], _R],
    worded: Callable[[_R], str] | None = None,
) -> None:
    """Run a bench; print a table, or with --json one object, as the last line."""
    parser.add_argument("--json", action="store_true", help="print one JSON object as the last line")
    options = parser.parse_args()
    try:
        result = bench(options)
    except PulseError as error:
        sys.exit(f"error: {error}")
    print(msgspec.json.encode(result).decode() if options.json else (worded or table)(result))


def table(result: msgspec.Struct) -> str:
    """The figures of a result, one a line."""
    figures = {name: value for name, value in msgspec.structs.asdict(result).items() if not isinstance(value, list)}
    wide = max(map(len, figures))
    return "\n".join(f"{name:<{wide}}  {value:g}" for name, value in figures.items())


# Nodes


def said_since_up(host: Host) -> list[str]:
    """The lines of its log since the daemon of a host said that it is up, that one included."""
    lines = (host.data / "pulse.log").read_text(encoding="utf-8").splitlines()
    ups = [place for place, line in enumerate(lines) if " node up " in line]
    return lines[ups[-1] :]


def up_since(host: Host) -> float:
    """When the daemon of a host said that it is up, by the wall clock."""
    return datetime.fromisoformat(said_since_up(host)[0].split()[0]).timestamp()


def has_link(host: Host, other: str) -> bool:
    """True if there is a link to the node of that id, whether routing makes use of it or not."""
    lines = [line for line in said_since_up(host) if f" node={other[:SHORT_ID]}" in line]
    return sum(" link up " in line for line in lines) > sum(" link down " in line for line in lines)


# Traffic


@contextmanager
def iperf_server(host: Host) -> Iterator[Running]:
    """An iperf3 that listens at all addresses."""
    server = host.popen(["iperf3", "--server", "--forceflush"])
    wait_until(lambda: "listening" in server.text(), "iperf3 listens")
    yield server


def transfer(here: Host, address: str, seconds: float, warm_up: float = WARM_UP) -> dict[str, Any]:
    """One TCP stream under CUBIC, its beginning left out."""
    command = ["iperf3", "-c", address, "-C", "cubic", "-t", f"{seconds:g}", "-O", f"{warm_up:g}", "--json"]
    decoded: dict[str, Any] = json.loads(here.run(command, timeout=seconds + 60).stdout)
    return decoded


def gbit(report: dict[str, Any]) -> float:
    """Gbit/s, as the receiver counted."""
    return round(float(report["end"]["sum_received"]["bits_per_second"]) / 1e9, 3)


def ping(here: Host, address: str) -> float:
    """Average round trip of 40 echoes, milliseconds."""
    return average_of(here.run(["ping", "-q", "-c", "40", "-i", "0.05", address]).stdout)


def average_of(said: str) -> float:
    """Read the average out of what ping said."""
    seen = re.search(r"= [\d.]+/([\d.]+)/", said)
    if not seen:
        raise PulseError(f"ping had no answer:\n{said}")
    return float(seen[1])


def first_answer(here: Host, address: str) -> float:
    """Ping an IPv4 address until it answers; the moment of that, by the wall clock, which log lines bear too."""
    with inside(here.namespace):
        probe = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP)
    end = time.monotonic() + PATIENCE
    with probe:
        probe.settimeout(_BETWEEN_ECHOES)
        while time.monotonic() < end:
            with suppress(OSError):  # no interface or no route yet
                probe.sendto(_echo(os.getpid() & 0xFFFF), (address, 0))
            if _answered(probe, address):
                return clock.wall()
    raise PulseError(f"{address} did not answer {here.name} within {PATIENCE:g} s")


def appeared(path: Path) -> float:
    """Wait for a file; the moment it was there, by the wall clock."""
    end = time.monotonic() + PATIENCE
    while not path.exists():
        if time.monotonic() > end:
            raise PulseError(f"there is no {path} after {PATIENCE:g} s")
        time.sleep(_BETWEEN_LOOKS)
    return clock.wall()


def _echo(identity: int) -> bytes:
    head = struct.pack("!BBHHH", _ECHO, 0, 0, identity, 1)
    total = sum(struct.unpack("!4H", head))
    return struct.pack("!BBHHH", _ECHO, 0, ~(total + (total >> 16)) & 0xFFFF, identity, 1)


def _answered(probe: socket.socket, address: str) -> bool:
    """True if an answer comes before the next echo is due."""
    end = time.monotonic() + _BETWEEN_ECHOES
    while time.monotonic() < end:
        try:
            packet, (source, _) = probe.recvfrom(2048)
        except OSError:
            return False
        if source == address and packet[(packet[0] & 15) * 4] == _ECHO_REPLY:
            return True
    return False


# Processes and processors


def cpu_seconds(pid: int) -> float:
    """User and system time of a process so far."""
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICK


def resident(pid: int) -> int:
    """Resident bytes of a process."""
    pages = Path(f"/proc/{pid}/statm").read_text(encoding="ascii").split()[1]
    return int(pages) * os.sysconf("SC_PAGESIZE")


def processor_times() -> list[int]:
    """The machine's processor time by use, in ticks."""
    return [int(field) for field in Path("/proc/stat").read_text(encoding="ascii").splitlines()[0].split()[1:]]


def stolen(before: list[int], after: list[int]) -> float:
    """Percent of processor time that other machines took meanwhile."""
    spent = [late - early for early, late in zip(before, after, strict=True)]
    return round(100 * spent[7] / max(sum(spent[:8]), 1), 1)


def median(values: Sequence[float], digits: int = 3) -> float:
    """The one in the middle."""
    return round(statistics.median(values), digits)


def p95(values: Sequence[float], digits: int = 3) -> float:
    """The value that nineteen of twenty do not exceed."""
    ordered = sorted(values)
    return round(ordered[-(-95 * len(ordered) // 100) - 1], digits)
