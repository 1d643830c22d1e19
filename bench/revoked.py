"""How long packets of a revoked node still arrive: `bench/revoked.py --json`.

Nodes on one switch; each in turn sends a datagram every 2 ms to one of the others and is revoked while it does.
Invariant: both ends are of one clock, and the time counts from the start of the command that a person types.
"""

import argparse
import time

import msgspec

from pulse.lab.beat import beating
from pulse.lab.host import Host
from pulse.lab.lab import Lab
from pulse.lab.topologies import star
from rig import admit, found, main, median, p95, processor_times, status, stolen, wait_paths

QUIET = 3.0
"""Seconds without an arrival after which there is none any more."""


class Result(msgspec.Struct):
    """Seconds from the command's start to the last packet that arrived."""

    rounds: int
    last_packet_s_median: float
    last_packet_s_p95: float
    command_s_median: float
    """How long the command itself took."""
    steal_percent: float


def measure(options: argparse.Namespace) -> Result:
    """Revoke one node after the other."""
    before = processor_times()
    with Lab(star(options.rounds + 2)) as lab:
        first, target, *senders = [*lab.hosts.values()]
        found(first, "--scribe")
        for host in (target, *senders):
            admit(host, first)
        rounds = [_revoked(first, host, target) for host in senders]
    last, command = ([each[place] for each in rounds] for place in (0, 1))
    steal = stolen(before, processor_times())
    return Result(options.rounds, median(last), p95(last), median(command), steal)


def _revoked(ca: Host, sender: Host, target: Host) -> tuple[float, float]:
    """Seconds until its last packet arrived, and until the command was over."""
    wait_paths(sender, target.name)
    node = status(sender).node.id
    with beating(sender, target, status(target).node.v4) as beat:
        beat.wait_more()
        began = time.monotonic()
        ca.pulse("revoke", "--node", node)
        took = time.monotonic() - began
        while time.monotonic() - beat.arrivals[-1] < QUIET:
            time.sleep(QUIET / 10)
    return beat.arrivals[-1] - began, took


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=8)
    main(parser, measure)
