"""How long nothing gets out when the exit in use fails and another one is there: `bench/exits.py --json`.

A client sends beats to a public host over either of two exits, while the one in use is killed, or stands still.
Invariant: the client reaches the public host through exits alone, and beats count as they arrive there.
"""

import argparse
import signal
import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial

import msgspec

from pulse.calls.routes import RouteCalls
from pulse.client import connect
from pulse.errors import PulseError
from pulse.lab.beat import beating
from pulse.lab.failover import STEADY, silence_since
from pulse.lab.host import Host, wait_until
from pulse.lab.lab import Lab
from pulse.lab.mesh import join, power_off, tell
from pulse.lab.topologies import joined
from pulse.schemas.routes import RouteRef
from rig import PORT, found, main, median, processor_times, stolen, wait_paths

PLAN = joined(("client", "exit1", "exit2"), ("exit1", "exit2", "public"))
INTERNET = "0.0.0.0/0"
PUBLIC = "203.0.113.9"
"""Where the public host is, no neighbour of anybody."""


class Result(msgspec.Struct):
    """Seconds of silence, each time the exit in use failed."""

    killed_s: float
    killed_worst_s: float
    still_s: float
    """It answers nothing any more and passes nothing on (SIGSTOP); its links stay until they are found to be dead."""
    still_worst_s: float
    all_s: list[float]
    steal_percent: float


def measure(options: argparse.Namespace) -> Result:
    """Bring them up, and fail the exit in use so many times in each way."""
    before = processor_times()
    with Lab(PLAN) as lab:
        furnish(lab)
        killed = silences(lab, options.rounds, power_off)
        still = silences(lab, options.rounds, lambda host: tell(host, signal.SIGSTOP))
    return Result(
        median(killed), max(killed), median(still), max(still), killed + still, stolen(before, processor_times())
    )


def furnish(lab: Lab) -> None:
    """A mesh in which both exits are approved."""
    client, *exits = (lab[name] for name in ("client", "exit1", "exit2"))
    # Its own network is closed to those who leave by an exit that is in it, too.
    lab["public"].run(["ip", "address", "add", f"{PUBLIC}/32", "dev", "lo"])
    found(client, "--scribe")
    for each in exits:
        each.run(["ip", "route", "add", "default", "via", str(lab["public"].v4.ip)])
        join(each, client)
        start_exit(each)
    wait_paths(client, "exit1", "exit2")
    for each in exits:
        wait_until(partial(heard, client, each.name), "the client hears the offer")
        with connect(client.data) as asked:
            RouteCalls(asked).approve(RouteRef(INTERNET, each.name))


def start_exit(host: Host) -> None:
    """Start it, as a member that has joined."""
    host.pulse("start", "--tun", "--listen", f":{PORT}", "--exit", "--exit-cidrs", INTERNET)


def heard(client: Host, name: str) -> bool:
    """True if the client knows that exit."""
    return name in states(client)


def states(client: Host) -> dict[str, str]:
    """What the client says of each exit."""
    with connect(client.data) as asked:
        return {each.name: each.state for each in RouteCalls(asked).all()}


def silences(lab: Lab, rounds: int, fail: Callable[[Host], object]) -> list[float]:
    """Seconds of silence after each failure of the exit in use."""
    client, public, all_s = lab["client"], lab["public"], list[float]()
    wait_until(lambda: sorted(states(client).values()) == ["in use", "ready"], "both exits are there")
    with beating(client, public, PUBLIC) as beat:
        for _ in range(rounds):
            wait_until(lambda: sorted(states(client).values()) == ["in use", "ready"], "both exits are there")
            time.sleep(STEADY)
            beat.wait_more()
            victim = next(lab[name] for name, state in states(client).items() if state == "in use")
            failed = time.monotonic()
            fail(victim)
            all_s.append(round(silence_since(beat, failed), 3))
            with suppress(PulseError):  # the one that was killed is gone already
                power_off(victim)
            start_exit(victim)
    return all_s


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5, help="failures of each kind")
    main(parser, measure)
