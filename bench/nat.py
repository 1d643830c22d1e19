"""How long it takes two nodes behind NATs to go direct, for each pair of classes: `bench/nat.py --json`.

Invariant: the clock starts with the first packet between the two, sent once a relay joins them, and both daemons are
new: nothing is known of the other but what its record says.
"""

import argparse
import os
import signal
import time
from itertools import combinations_with_replacement
from pathlib import Path

import msgspec

from pulse.lab import topologies
from pulse.lab.host import Host, wait_until
from pulse.lab.lab import Lab
from pulse.lab.plan import Nat
from rig import PORT, admit, found, main, median, row, start, status, wait_paths

LOOK_EVERY = 0.005
"""Seconds between two looks at the path."""

HOPELESS = 10.0
"""Seconds after which a pair counts as relayed: the first attempt is over by then."""


class Pair(msgspec.Struct):
    """Two classes, the link they end with, and the seconds until it was direct: the median, and all of them."""

    one: str
    other: str
    link: str
    direct_s: float | None
    all_s: list[float]


class Result(msgspec.Struct):
    """Every pair of classes."""

    worst_direct_s: float
    pairs: list[Pair]


def measure(options: argparse.Namespace) -> Result:
    """Bring up a public mesh and two homes, and try all pairs."""
    with Lab(topologies.nat()) as lab:
        hub, far, *homes = (lab[name] for name in ("hub", "far", "a", "b"))
        found(hub, "--addr", f"{hub.v4.ip}:{PORT}")
        for host in (far, *homes):
            admit(host, hub)
        for host in homes:
            power_off(host)
        pairs = [measured(lab, one, other, options.rounds) for one, other in combinations_with_replacement(Nat, 2)]
    return Result(max(each.direct_s for each in pairs if each.direct_s is not None), pairs)


def measured(lab: Lab, one: Nat, other: Nat, rounds: int) -> Pair:
    """One pair of classes, so many times from the beginning."""
    taken: list[float] = []
    link = ""
    for _ in range(rounds):
        lab.set_nat("nat-a", one)
        lab.set_nat("nat-b", other)
        for host in (lab["a"], lab["b"]):
            start(host)
        seconds, link = until_direct(lab["a"], lab["b"])
        if seconds is not None:
            taken.append(round(seconds, 3))
        for host in (lab["a"], lab["b"]):
            power_off(host)
    return Pair(one, other, link, median(taken) if len(taken) == rounds else None, taken)


def until_direct(here: Host, there: Host) -> tuple[float | None, str]:
    """Seconds from the first packet to a direct path, None if there is none; and the link it ends with."""
    wait_paths(here, there.name)
    wait_paths(there, here.name)
    address = status(there).node.v4
    began = time.monotonic()
    pings = here.popen(["ping", "-q", "-i", "0.05", "-w", str(int(HOPELESS) + 5), address])
    while (passed := time.monotonic() - began) < HOPELESS:
        peer = row(here, there.name)
        if peer is not None and peer.link != "-" and not peer.via:
            break
        time.sleep(LOOK_EVERY)
    pings.stop(signal.SIGINT)
    peer = row(here, there.name)
    link = f"{peer.link} via {peer.via}" if peer and peer.via else peer.link if peer else "-"
    return (None if passed >= HOPELESS else passed), link


def power_off(host: Host) -> None:
    """End its daemon as a power cut would."""
    daemon = host.pulse_pid
    os.kill(daemon, signal.SIGKILL)
    wait_until(lambda: not Path(f"/proc/{daemon}").exists(), f"the daemon of {host.name} is gone")


def worded(result: Result) -> str:
    """The rows of docs/reference/paths.md."""
    rows = ["| one | other | ends with | direct after |", "|---|---|---|---|"]
    for each in result.pairs:
        after = "-" if each.direct_s is None else f"{each.direct_s:.3f} s"
        rows.append(f"| {each.one} | {each.other} | {each.link} | {after} |")
    return "\n".join(rows)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    main(parser, measure, worded)
