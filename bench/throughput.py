"""How fast two nodes are beside the bare cable between them: `make bench`, or `bench/throughput.py --json`.

Invariant: cable and mesh take turns in one run, for on shared machines only ratios of one run mean anything. Both ends,
both iperf3 and both daemons share this machine's cores.
"""

import argparse
import json
import os
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import Any

import msgspec

from pulse import schemas
from pulse.errors import PulseError
from pulse.lab.host import Host, Running, wait_until
from pulse.lab.lab import Lab
from pulse.lab.namespaces import processes_in

PORT = 8443
WARM_UP = 1.0
TICK = os.sysconf("SC_CLK_TCK")


class Round(msgspec.Struct):
    """One turn each of cable and mesh; Gbit/s, milliseconds, CPU seconds of both daemons."""

    raw_gbit: float
    direct_gbit: float
    rtt_loaded_ms: float
    cpu_s: float
    gbit_sent: float


class Result(msgspec.Struct):
    """Medians, and all values they come from."""

    raw_gbit: float
    direct_gbit: float
    ratio: float
    rtt_idle_ms: float
    raw_rtt_idle_ms: float
    rtt_loaded_ms: float
    rss_mb: float
    cpu_s_per_gbit: float
    steal_percent: float
    rounds: list[Round]


def main() -> None:
    """Measure, and print a table or one JSON object as the last line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true", help="print one JSON object as the last line")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=5.0, help="length of one transfer")
    options = parser.parse_args()
    try:
        result = measure(options.rounds, options.seconds)
    except PulseError as error:
        sys.exit(f"error: {error}")
    print(msgspec.json.encode(result).decode() if options.json else table(result))


def measure(rounds: int, seconds: float) -> Result:
    """Bring up two nodes and take all figures."""
    before = processor_times()
    with Lab() as lab, mesh(lab["a"], lab["b"]) as address, iperf_server(lab["b"]):
        here, there = lab["a"], lab["b"]
        raw_idle, idle = ping(here, str(there.v4.ip)), ping(here, address)
        taken = [one_round(here, there, address, seconds) for _ in range(rounds)]
        memory = max(resident(pid_of(host)) for host in (here, there))
    raw, direct = (median(getattr(taken_, name) for taken_ in taken) for name in ("raw_gbit", "direct_gbit"))
    return Result(
        raw_gbit=round(raw, 2),
        direct_gbit=round(direct, 2),
        ratio=round(median(one.direct_gbit / one.raw_gbit for one in taken), 3),
        rtt_idle_ms=idle,
        raw_rtt_idle_ms=raw_idle,
        rtt_loaded_ms=round(median(one.rtt_loaded_ms for one in taken), 3),
        rss_mb=round(memory / 1e6, 1),
        cpu_s_per_gbit=round(median(one.cpu_s / one.gbit_sent for one in taken), 3),
        steal_percent=stolen(before, processor_times()),
        rounds=taken,
    )


@contextmanager
def mesh(one: Host, other: Host) -> Iterator[str]:
    """Two nodes with a link; yields the mesh address of the other."""
    other.pulse("start", "--ca", "--tun", "--addr", f"{other.v4.ip}:{PORT}", "--listen", f":{PORT}")
    token = other.pulse("token", "create", "--max-uses", "1").stdout.split()[-1]
    one.pulse("join", f"{other.v4.ip}:{PORT}", "--token", token)
    one.pulse("start", "--tun", "--listen", f":{PORT}")
    wait_until(lambda: any(peer.link != "-" for peer in status(one).peers), "the link is up")
    try:
        yield status(other).node.v4
    finally:
        one.pulse("stop")
        other.pulse("stop")


@contextmanager
def iperf_server(host: Host) -> Iterator[Running]:
    """An iperf3 that listens at all addresses."""
    server = host.popen(["iperf3", "--server", "--forceflush"])
    wait_until(lambda: "listening" in server.text(), "iperf3 listens")
    yield server


def one_round(here: Host, there: Host, address: str, seconds: float) -> Round:
    """Cable, then mesh with a ping beside it."""
    raw = transfer(here, str(there.v4.ip), seconds)
    daemons = [pid_of(here), pid_of(there)]
    before = sum(map(cpu_seconds, daemons))
    beside = here.popen(["ping", "-q", "-i", "0.05", "-w", str(int(seconds + WARM_UP)), address])
    direct = transfer(here, address, seconds)
    cpu = sum(map(cpu_seconds, daemons)) - before
    beside.wait()
    return Round(
        raw_gbit=gbit(raw),
        direct_gbit=gbit(direct),
        rtt_loaded_ms=average_of(beside.text()),
        cpu_s=round(cpu, 2),
        # The daemons' time was taken over the warm-up, too.
        gbit_sent=round(gbit(direct) * (seconds + WARM_UP), 2),
    )


def transfer(here: Host, address: str, seconds: float) -> dict[str, Any]:
    """One TCP stream under CUBIC, its first second left out."""
    command = ["iperf3", "-c", address, "-C", "cubic", "-t", f"{seconds:g}", "-O", f"{WARM_UP:g}", "--json"]
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
    found = re.search(r"= [\d.]+/([\d.]+)/", said)
    if not found:
        raise PulseError(f"ping had no answer:\n{said}")
    return float(found[1])


def status(host: Host) -> schemas.Status:
    """What the node says of the mesh."""
    return msgspec.json.decode(host.pulse("status", "--json").stdout, type=schemas.Status)


def pid_of(host: Host) -> int:
    """Process of the node that runs on a host."""
    found = [pid for pid in processes_in(host.namespace) if b"pulse" in Path(f"/proc/{pid}/cmdline").read_bytes()]
    return found[0]


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


def table(result: Result) -> str:
    """Word the result for people."""
    rows = [
        ("bare cable", f"{result.raw_gbit:.2f} Gbit/s"),
        ("pulse, direct", f"{result.direct_gbit:.2f} Gbit/s, {result.ratio:.3f} of it"),
        ("idle RTT", f"{result.rtt_idle_ms:.3f} ms (cable {result.raw_rtt_idle_ms:.3f})"),
        ("loaded RTT", f"{result.rtt_loaded_ms:.2f} ms"),
        ("memory", f"{result.rss_mb:.0f} MB a daemon"),
        ("CPU", f"{result.cpu_s_per_gbit:.2f} s a Gbit, both daemons"),
        ("stolen", f"{result.steal_percent:.1f} % of processor time"),
    ]
    return "\n".join(f"{name:<14} {value}" for name, value in rows)


if __name__ == "__main__":
    main()
