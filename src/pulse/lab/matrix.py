"""How two nodes behind NATs come together, for each pair of classes: directly or over a relay, and how soon.

Invariant: the clock starts with the first packet between the two, sent once a relay joins them, and both daemons are
new: nothing is known of the other but what its record says.
"""

import signal
import statistics
import time
from collections.abc import Callable, Iterable
from itertools import combinations_with_replacement
from typing import Final

import msgspec

from pulse.core.types import LinkType
from pulse.lab import mesh, topologies
from pulse.lab.host import Host
from pulse.lab.lab import Lab
from pulse.lab.plan import Nat

LOOK_EVERY: Final = 0.005
"""Seconds between two looks at the path."""

HOPELESS: Final = 10.0
"""Seconds after which a pair counts as relayed: the first attempt is over by then."""

PAIRS: Final = tuple(combinations_with_replacement(Nat, 2))
"""All of them."""


class Pair(msgspec.Struct):
    """Two classes, the link they end with, and the seconds until it was direct: the median, and all of them."""

    one: str
    other: str
    link: str
    direct_s: float | None
    all_s: list[float]


class Matrix(msgspec.Struct):
    """Every pair of classes."""

    worst_direct_s: float | None
    """Of those that went direct; None if none did."""
    pairs: list[Pair]


def measure(rounds: int, told: Callable[[Pair], object], pairs: Iterable[tuple[Nat, Nat]] = PAIRS) -> Matrix:
    """Bring up a public mesh and two homes, and try the pairs, so many times each; tells each that is done."""
    done: list[Pair] = []
    with Lab(topologies.nat()) as lab:
        hub, far, *homes = (lab[name] for name in ("hub", "far", "a", "b"))
        mesh.found(hub, "--addr", f"{hub.v4.ip}:{mesh.PORT}")
        mesh.admit(far, hub)
        for host in homes:
            mesh.join(host, hub)
        for one, other in pairs:
            done.append(_measured(lab, one, other, rounds))
            told(done[-1])
    return Matrix(max((each.direct_s for each in done if each.direct_s is not None), default=None), done)


def _measured(lab: Lab, one: Nat, other: Nat, rounds: int) -> Pair:
    """One pair of classes, so many times from the beginning."""
    taken: list[float] = []
    link = ""
    for _ in range(rounds):
        lab.set_nat("nat-a", one)
        lab.set_nat("nat-b", other)
        for host in (lab["a"], lab["b"]):
            mesh.start(host)
        seconds, link = _until_direct(lab["a"], lab["b"])
        if seconds is not None:
            taken.append(round(seconds, 3))
        for host in (lab["a"], lab["b"]):
            mesh.power_off(host)
    return Pair(one, other, link, round(statistics.median(taken), 3) if len(taken) == rounds else None, taken)


def _until_direct(here: Host, there: Host) -> tuple[float | None, str]:
    """Seconds from the first packet to a direct path, None if there is none; and the link it ends with."""
    mesh.wait_paths(here, there.name)
    mesh.wait_paths(there, here.name)
    address = mesh.status(there).node.v4
    began = time.monotonic()
    pings = here.popen(["ping", "-q", "-i", "0.05", "-w", str(int(HOPELESS) + 5), address])
    while (passed := time.monotonic() - began) < HOPELESS:
        peer = mesh.row(here, there.name)
        if peer is not None and peer.reached and not peer.via:
            break
        time.sleep(LOOK_EVERY)
    pings.stop(signal.SIGINT)
    peer = mesh.row(here, there.name)
    link = f"{peer.link} via {peer.via}" if peer and peer.via else peer.link if peer else LinkType.NONE
    return (None if passed >= HOPELESS else passed), link
