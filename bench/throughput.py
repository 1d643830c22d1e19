"""How fast two nodes are beside the bare cable between them: `make bench`, or `bench/throughput.py --json`.

Invariant: cable and mesh take turns in one run, for on shared machines only ratios of one run mean anything. Both ends,
both iperf3 and both daemons share this machine's cores.
"""

import argparse
from collections.abc import Iterator
from contextlib import contextmanager

import msgspec

from pulse.lab.host import Host
from pulse.lab.lab import Lab
from rig import (
    WARM_UP,
    admit,
    average_of,
    cpu_seconds,
    found,
    gbit,
    iperf_server,
    main,
    median,
    ping,
    processor_times,
    resident,
    status,
    stolen,
    transfer,
    wait_paths,
)


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


def measure(options: argparse.Namespace) -> Result:
    """Bring up two nodes and take all figures."""
    before = processor_times()
    with Lab() as lab, mesh(lab["a"], lab["b"]) as address, iperf_server(lab["b"]):
        here, there = lab["a"], lab["b"]
        raw_idle, idle = ping(here, str(there.v4.ip)), ping(here, address)
        taken = [one_round(here, there, address, options.seconds) for _ in range(options.rounds)]
        memory = max(resident(host.pulse_pid) for host in (here, there))
    return Result(
        raw_gbit=median([one.raw_gbit for one in taken], 2),
        direct_gbit=median([one.direct_gbit for one in taken], 2),
        ratio=median([one.direct_gbit / one.raw_gbit for one in taken]),
        rtt_idle_ms=idle,
        raw_rtt_idle_ms=raw_idle,
        rtt_loaded_ms=median([one.rtt_loaded_ms for one in taken]),
        rss_mb=round(memory / 1e6, 1),
        cpu_s_per_gbit=median([one.cpu_s / one.gbit_sent for one in taken]),
        steal_percent=stolen(before, processor_times()),
        rounds=taken,
    )


@contextmanager
def mesh(one: Host, other: Host) -> Iterator[str]:
    """Two nodes with a link; yields the mesh address of the other."""
    found(other)
    admit(one, other)
    wait_paths(one, other.name)
    try:
        yield status(other).node.v4
    finally:
        one.pulse("stop")
        other.pulse("stop")


def one_round(here: Host, there: Host, address: str, seconds: float) -> Round:
    """Cable, then mesh with a ping beside it."""
    raw = transfer(here, str(there.v4.ip), seconds)
    daemons = [here.pulse_pid, there.pulse_pid]
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


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=5.0, help="length of one transfer")
    main(parser, measure)
