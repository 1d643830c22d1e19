"""What a daemon costs that has nothing to do: `bench/idle.py --json`.

Eleven nodes on one switch, each with links to the ten others. Invariant: processor time is read from the kernel's own
account of each daemon, and nobody asks them anything meanwhile.
"""

import argparse
import time

import msgspec

from pulse.lab.lab import Lab
from pulse.lab.topologies import star
from rig import admit, cpu_seconds, found, main, median, processor_times, resident, stolen, wait_paths


class Result(msgspec.Struct):
    """Of all daemons; percent of one core, megabytes."""

    peers: int
    cpu_percent: float
    """Median."""
    cpu_percent_worst: float
    rss_mb: float
    """Median."""
    rss_mb_worst: float
    steal_percent: float
    cpu_percents: list[float]


def measure(options: argparse.Namespace) -> Result:
    """Bring the nodes up, let them settle, and leave them alone."""
    before = processor_times()
    with Lab(star(options.peers + 1)) as lab:
        first, *others = lab.hosts.values()
        found(first)
        for host in others:
            admit(host, first)
        for host in lab.hosts.values():
            wait_paths(host, *(other.name for other in lab.hosts.values() if other is not host))
        time.sleep(options.settle)
        daemons = [host.pulse_pid for host in lab.hosts.values()]
        early, begin = [cpu_seconds(pid) for pid in daemons], time.monotonic()
        time.sleep(options.seconds)
        late, spent = [cpu_seconds(pid) for pid in daemons], time.monotonic() - begin
        percents = [round(100 * (end - start) / spent, 2) for start, end in zip(early, late, strict=True)]
        memory = [resident(pid) / 1e6 for pid in daemons]
    return Result(
        peers=options.peers,
        cpu_percent=median(percents, 2),
        cpu_percent_worst=max(percents),
        rss_mb=median(memory, 1),
        rss_mb_worst=round(max(memory), 1),
        steal_percent=stolen(before, processor_times()),
        cpu_percents=percents,
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--peers", type=int, default=10)
    parser.add_argument("--seconds", type=float, default=60.0, help="how long they are left alone")
    parser.add_argument("--settle", type=float, default=10.0, help="seconds before that")
    main(parser, measure)
