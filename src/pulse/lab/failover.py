"""How long a flow is silent when the relay it goes over is killed and another one is there.

Invariant: beats are sent every 2 ms from one end to the other, so the silence is what a call or a game would feel; a
kill comes only once everybody has links over all cables, so that there is another way.
"""

import statistics
import time
from collections.abc import Callable
from functools import partial
from typing import Final

import msgspec

from pulse.lab import mesh
from pulse.lab.beat import Beat, beating
from pulse.lab.host import Host, wait_until
from pulse.lab.lab import Lab
from pulse.lab.topologies import TWO_RELAYS

STEADY: Final = 3.0
"""Seconds before a kill in which nothing happens."""
SETTLED: Final = 3.0
"""Seconds after which beats that come again are not interrupted once more."""
SILENCE: Final = 30.0
"""Seconds after which no other way is hoped for."""
WHILE: Final = 0.3
"""Seconds over which packets are counted to see which relay carries them."""


class Failover(msgspec.Struct):
    """Seconds of silence after each kill -9 of the relay in use."""

    median_s: float
    worst_s: float
    all_s: list[float]


def measure(kills: int, told: Callable[[str, float], object]) -> Failover:
    """Bring up two ends and two relays, and kill the relay in use so many times; tells whom and the silence."""
    with Lab(TWO_RELAYS) as lab:
        mesh.found(lab["relay"])
        for name in ("spare", "left", "right"):
            mesh.admit(lab[name], lab["relay"], lab["spare"] if name == "right" else None)
        wait_whole(lab)
        found = silences(lab, kills, told)
    return Failover(round(statistics.median(found), 3), max(found), found)


def silences(lab: Lab, kills: int, told: Callable[[str, float], object]) -> list[float]:
    """Seconds of silence after each kill -9 of the relay in use, in a lab of two relays whose mesh is whole."""
    found: list[float] = []
    with beating(lab["left"], lab["right"], mesh.status(lab["right"]).node.v4) as beat:
        for _ in range(kills):
            time.sleep(STEADY)
            beat.wait_more()
            victim = relay_in_use(lab)
            killed = time.monotonic()
            mesh.power_off(victim)
            found.append(round(silence_since(beat, killed), 3))
            told(victim.name, found[-1])
            restart(victim)
            wait_whole(lab)
    return found


def restart(relay: Host) -> None:
    """Bring a relay back."""
    relay.pulse("start", "--tun", "--listen", f":{mesh.PORT}", *(("--ca",) if relay.name == "relay" else ()))


def silence_since(beat: Beat, moment: float) -> float:
    """The longest silence that ends after that moment, once what changes now is over and beats come again."""
    settled = time.monotonic() + SETTLED
    wait_until(lambda: beat.arrivals[-1] > settled, "beats arrive again", SILENCE)
    return beat.longest_gap(moment)


def wait_whole(lab: Lab) -> None:
    """Wait until both ends have a link to each relay, and paths to everybody."""
    for host in lab.hosts.values():
        mesh.wait_paths(host, *(name for name in lab.hosts if name != host.name))
    for end in (lab["left"], lab["right"]):
        for relay in ("relay", "spare"):
            wait_until(partial(_is_near, end, relay), f"{end.name} is linked to {relay}")


def _is_near(host: Host, other: str) -> bool:
    peer = mesh.row(host, other)
    return peer is not None and peer.reached and not peer.via and not peer.suspect


def relay_in_use(lab: Lab) -> Host:
    """The relay that most of the flow passes: its interfaces carry it."""
    relays = [lab["relay"], lab["spare"]]
    before = [_carried(host) for host in relays]
    time.sleep(WHILE)
    passed = [_carried(host) - early for host, early in zip(relays, before, strict=True)]
    return relays[passed.index(max(passed))]


def _carried(host: Host) -> int:
    """Packets that left a host's cables so far."""
    counters = [f"/sys/class/net/{port.interface}/statistics/tx_packets" for port in host.ports]
    return sum(map(int, host.run(["cat", *counters]).stdout.split()))
