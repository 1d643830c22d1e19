"""How long flows are silent when a machine roams or a relay fails in odd ways: `bench/roaming.py --json`.

A laptop talks with a public node while its NAT forgets it, it takes another address, is carried from network to network
and sleeps; two nodes talk over either of two relays while the one in use is told to stop, stands still, or is not heard
any more. Invariant: flows go both ways and the worse direction counts; kernels of relays pass nothing on.
"""

import argparse
import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial

import msgspec

from pulse.lab import stream
from pulse.lab.beat import Beat, beating
from pulse.lab.failover import SETTLED, relay_in_use, restart
from pulse.lab.host import Host, wait_until
from pulse.lab.lab import Lab
from pulse.lab.laptop import Laptop
from pulse.lab.stream import Stream
from pulse.lab.topologies import ROAMING, TWO_RELAYS
from relay import bring_up, is_direct, whole
from rig import admit, found, main, median, p95, processor_times, status, stolen, wait_paths

PACE = 10.0
"""Mbit/s of the TCP connection that is watched."""

STOP_PACE = 0.001
"""Seconds between packets of which none may be lost when a relay stops."""

DEAF = """
table inet deaf {
    chain <hook> {
        type filter hook <hook> priority 0
        meta l4proto { udp, tcp } <way> drop
    }
}
"""

LATE = 20.0
"""Seconds after which the bench gives up on a flow."""


class Result(msgspec.Struct):
    """Medians, and all values they come from; the names say the unit."""

    calm_gap_ms: float
    """The longest silence while nothing happens: what the machine itself adds."""
    rebinding_gap_ms: float
    rebinding_tcp_ms: float
    address_gap_ms: float
    address_tcp_ms: float
    carried_gap_ms: float
    """From behind a NAT to an open network, and back."""
    carried_tcp_ms: float
    resume_ms: float
    """From the end of the sleep to the first packet, in the direction that takes longer."""
    asleep_s: float
    stop_sent: int
    stop_lost: int
    """Of all packets while relays in use were told to stop."""
    stop_s: float
    """How long such a stop takes, with the command."""
    still_s: float
    """Silence after the relay in use stands still (SIGSTOP)."""
    silent_s: float
    """After it neither hears nor is heard."""
    one_way_s: float
    """After one end does not hear it any more."""
    failures_p95_s: float
    """Of all three kinds."""
    steal_percent: float
    rebindings: list[tuple[float, float]]
    addresses: list[tuple[float, float]]
    carries: list[tuple[float, float]]
    resumes: list[float]
    stops: list[float]
    failures: list[tuple[float, float, float]]


@dataclass(frozen=True, slots=True)
class Flows:
    """What is watched: beats both ways, and one connection."""

    beats: tuple[Beat, Beat]
    connection: Stream
    steady: float
    """Seconds before anything happens."""

    def silences(self, act: Callable[[], object]) -> tuple[float, float]:
        """Milliseconds of the longest silence of beats and of the connection, from `act` until all go on."""
        time.sleep(self.steady)
        begin = time.monotonic()
        act()
        self.settle()
        self.connection.wait_moving()
        gaps = max(beat.longest_gap(begin) for beat in self.beats), self.connection.longest_gap(begin)
        return round(1000 * gaps[0], 1), round(1000 * gaps[1], 1)

    def settle(self) -> None:
        """Wait until beats have come again for a while."""
        settled = time.monotonic() + SETTLED
        wait_until(lambda: all(beat.arrivals[-1] > settled for beat in self.beats), "beats arrive again", LATE)


def measure(options: argparse.Namespace) -> Result:
    """Take all figures, the laptop's first."""
    before = processor_times()
    with Lab(ROAMING) as lab:
        laptop = on_the_road(lab)
        with flowing(laptop.host, lab["far"], options) as flows:
            calm, _ = flows.silences(lambda: None)
            rebindings, addresses, carries = [], [], []
            for _ in range(options.rounds):
                rebindings.append(flows.silences(partial(lab.rebind_nat, "home")))
                carries.append(flows.silences(partial(laptop.carry_to, "cafe")))
                addresses.append(flows.silences(laptop.renumber))
                carries.append(flows.silences(partial(laptop.carry_to, "home")))
            resumes = [resume(flows, laptop.host, options.sleep) for _ in range(options.rounds)]
    with Lab(TWO_RELAYS) as lab:
        bring_up(lab)
        sent, lost, stops = stop(lab, options)
        failures = [fail(lab, options) for _ in range(options.rounds)]
    return Result(
        calm_gap_ms=calm,
        rebinding_gap_ms=median([gap for gap, _ in rebindings], 1),
        rebinding_tcp_ms=median([gap for _, gap in rebindings], 1),
        address_gap_ms=median([gap for gap, _ in addresses], 1),
        address_tcp_ms=median([gap for _, gap in addresses], 1),
        carried_gap_ms=median([gap for gap, _ in carries], 1),
        carried_tcp_ms=median([gap for _, gap in carries], 1),
        resume_ms=median(resumes, 1),
        asleep_s=options.sleep,
        stop_sent=sent,
        stop_lost=lost,
        stop_s=median(stops),
        still_s=median([each[0] for each in failures]),
        silent_s=median([each[1] for each in failures]),
        one_way_s=median([each[2] for each in failures]),
        failures_p95_s=p95([silence for each in failures for silence in each]),
        steal_percent=stolen(before, processor_times()),
        rebindings=rebindings,
        addresses=addresses,
        carries=carries,
        resumes=resumes,
        stops=stops,
        failures=failures,
    )


# The laptop


def on_the_road(lab: Lab) -> Laptop:
    """A laptop at home, a member of a mesh of two public nodes, one of which is the CA."""
    laptop = Laptop.at(lab, "laptop", "home")
    found(lab["hub"])
    for name in ("far", "laptop"):
        admit(lab[name], lab["hub"])
    wait_paths(lab["far"], "laptop")
    wait_until(lambda: is_direct(laptop.host, "far"), "there is a direct path")
    return laptop


@contextmanager
def flowing(here: Host, there: Host, options: argparse.Namespace) -> Iterator[Flows]:
    """Flows both ways, the connection patient enough for a sleep; all that it carried has to be whole in the end."""
    ours, theirs = status(here).node.v4, status(there).node.v4
    connection = stream.begin(here, there, theirs, mbit=PACE, patience=LATE + 2 * options.sleep)
    with beating(here, there, theirs) as out, beating(there, here, ours) as back:
        yield Flows((out, back), connection, options.steady)
    if not connection.finish().hash_equal:
        raise SystemExit("the connection was not whole")


def resume(flows: Flows, host: Host, seconds: float) -> float:
    """Stop a daemon for so long; milliseconds until packets arrive in both directions again."""
    time.sleep(flows.steady)
    daemon = host.pulse_pid
    os.kill(daemon, signal.SIGSTOP)
    time.sleep(seconds)
    woken = time.monotonic()
    os.kill(daemon, signal.SIGCONT)
    flows.settle()
    firsts = [next(at for at in beat.arrivals if at > woken) for beat in flows.beats]
    # TCP asks less and less often meanwhile; its next try may be as far off as the sleep was long.
    wait_until(partial(moves, flows.connection), "the connection moves again", LATE + 2 * seconds)
    return round(1000 * (max(firsts) - woken), 1)


def moves(connection: Stream) -> bool:
    """True if something arrived lately."""
    told = connection.told()[-10:]
    return told[-1].size > told[0].size


# Relays


def stop(lab: Lab, options: argparse.Namespace) -> tuple[int, int, list[float]]:
    """Tell the relay in use to stop, under 1,000 packets a second each way: sent, lost, and how long stops take."""
    left, right = lab["left"], lab["right"]
    sent = lost = 0
    stops = []
    for _ in range(options.rounds):
        time.sleep(options.steady)
        with (
            beating(left, right, status(right).node.v4, STOP_PACE) as out,
            beating(right, left, status(left).node.v4, STOP_PACE) as back,
        ):
            end = time.monotonic() + options.flow
            time.sleep(options.flow / 3)
            victim = relay_in_use(lab)
            begin = time.monotonic()
            victim.pulse("stop")
            stops.append(round(time.monotonic() - begin, 3))
            time.sleep(max(0.0, end - time.monotonic()))
        sent, lost = sent + out.sent + back.sent, lost + out.lost + back.lost
        restart(victim)
        whole(lab)
    return sent, lost, stops


def fail(lab: Lab, options: argparse.Namespace) -> tuple[float, float, float]:
    """Seconds of silence when the relay in use stands still, is cut off, and is not heard any more by one end."""
    return (
        silence_under(lab, standing_still, options),
        silence_under(lab, partial(deaf, hook="input", way=""), options),
        silence_under(lab, partial(deaf, hook="output", way='oifname "eth1"'), options),
    )


def silence_under(lab: Lab, failing: Callable[[Host], Iterator[None]], options: argparse.Namespace) -> float:
    """The longest silence while the relay in use fails like that."""
    left, right = lab["left"], lab["right"]
    with (
        beating(left, right, status(right).node.v4) as out,
        beating(right, left, status(left).node.v4) as back,
    ):
        time.sleep(options.steady)
        victim = relay_in_use(lab)
        begin = time.monotonic()
        with contextmanager(failing)(victim):
            for beat in (out, back):
                settled = time.monotonic() + SETTLED
                wait_until(lambda beat=beat, settled=settled: beat.arrivals[-1] > settled, "beats arrive again", LATE)  # type: ignore[misc]
            silence = max(out.longest_gap(begin), back.longest_gap(begin))
    whole(lab)
    time.sleep(options.rest)
    return round(silence, 3)


def standing_still(relay: Host) -> Iterator[None]:
    """Meanwhile its daemon does not run."""
    daemon = relay.pulse_pid
    os.kill(daemon, signal.SIGSTOP)
    yield
    os.kill(daemon, signal.SIGCONT)


def deaf(relay: Host, *, hook: str, way: str) -> Iterator[None]:
    """Meanwhile its machine drops what comes in, or what leaves one way."""
    relay.run(["nft", "-f", "-"], stdin=DEAF.replace("<hook>", hook).replace("<way>", way))
    yield
    relay.run(["nft", "delete", "table", "inet", "deaf"])


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3, help="how often each thing happens")
    parser.add_argument("--sleep", type=float, default=20.0, help="seconds of one sleep")
    parser.add_argument("--flow", type=float, default=10.0, help="seconds of 1,000 packets each around one stop")
    # A path that failed is asked each 5 s and believed after two answers; what fails meanwhile finds no other.
    parser.add_argument("--rest", type=float, default=12.0, help="seconds relays are left alone after one failed")
    parser.add_argument("--steady", type=float, default=3.0, help="seconds before anything happens")
    main(parser, measure)
