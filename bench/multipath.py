"""What two limited paths carry together, and how flows divide over a near and a far one: `bench/multipath.py --json`.

Two nodes reach each other over either of two relays alone. Invariant: nothing of the kernel passes anything on, so all
that arrives went over a relay's daemon; one path and both take turns in one run.
"""

import argparse
import socket
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import msgspec

from pulse.lab.host import Host
from pulse.lab.impairment import Impairment
from pulse.lab.lab import Lab
from pulse.lab.namespaces import inside
from pulse.lab.topologies import TWO_RELAYS
from relay import bring_up
from rig import WARM_UP, gbit, iperf_server, main, median, processor_times, status, stolen, wait_paths

RATE = 100.0
"""Mbit/s of either relay's cable to the right one."""

TO_RIGHT = (1, 3)
"""The networks of these cables: of `relay`, and of `spare`."""

STEADY = 15.0
"""Seconds in which new links are guessed at, and shares follow what is heard of them."""

NEAR_MS, FAR_MS = 5.0, 50.0
"""Round trips of the two."""

SETTLED = 60.0
"""Seconds until everybody knows how long the new round trips are: what is least of the last half minute counts."""

FLOWS_SENT = 2_000
"""Flows of one datagram each that are counted at the relays."""


SIZE = 600
"""Bytes of such a datagram: nothing else is as long once it is sealed."""

SCALES = """
table inet scales {
    counter flows { }
    chain out {
        type filter hook output priority 0
        udp length 700-800 counter name flows
    }
}
"""


class Result(msgspec.Struct):
    """Medians, and all values they come from."""

    one_mbit: float
    """Several flows, the node pinned to one relay."""
    both_mbit: float
    ratio: float
    near_to_far: float
    """How many times as many flows took a path of 5 ms as took one of 50 ms."""
    steal_percent: float
    rounds: list[tuple[float, float]]
    flows: tuple[int, int]


def measure(options: argparse.Namespace) -> Result:
    """Bring up four nodes and take all figures."""
    before = processor_times()
    with Lab(TWO_RELAYS) as lab:
        bring_up(lab)
        wait_paths(lab["left"], "right")
        time.sleep(min(options.settle, STEADY))
        with limited(lab), iperf_server(lab["right"]):
            rounds = [one_round(lab, options) for _ in range(options.rounds)]
        flows = divided(lab, options.settle)
    return Result(
        one_mbit=median([one for one, _ in rounds], 1),
        both_mbit=median([both for _, both in rounds], 1),
        ratio=median([both / one for one, both in rounds]),
        near_to_far=round(flows[0] / max(flows[1], 1), 2),
        steal_percent=stolen(before, processor_times()),
        rounds=rounds,
        flows=flows,
    )


@contextmanager
def limited(lab: Lab) -> Iterator[None]:
    """Meanwhile both cables to the right one carry so much and no more."""
    impair(lab, [Impairment(rate_mbit=RATE)] * len(TO_RIGHT))
    yield
    impair(lab, [Impairment()] * len(TO_RIGHT))


def impair(lab: Lab, treatments: Sequence[Impairment]) -> None:
    """Treat the packets of each cable to the right one so."""
    for network, what in zip(TO_RIGHT, treatments, strict=True):
        lab.impair(network, what)


def one_round(lab: Lab, options: argparse.Namespace) -> tuple[float, float]:
    """Mbit/s of several flows over one relay, and over both."""
    left, address = lab["left"], status(lab["right"]).node.v4
    both = several(left, address, options)
    left.pulse("pin", "right", "spare")
    one = several(left, address, options)
    left.pulse("unpin", "right")
    return one, both


def several(here: Host, address: str, options: argparse.Namespace) -> float:
    """Mbit/s that several TCP streams carry together, their first second left out."""
    command = ["iperf3", "-c", address, "-C", "cubic", "-P", str(options.flows), "-O", f"{WARM_UP:g}", "--json"]
    said = here.run([*command, "-t", f"{options.seconds:g}"], timeout=options.seconds + 60).stdout
    report: dict[str, Any] = msgspec.json.decode(said)
    return round(gbit(report) * 1000, 1)


def divided(lab: Lab, settle: float) -> tuple[int, int]:
    """How many of many flows take a path of 5 ms, and one of 50 ms."""
    impair(lab, [Impairment(delay_ms=ms / 2) for ms in (NEAR_MS, FAR_MS)])
    time.sleep(settle)
    relays = lab["relay"], lab["spare"]
    for relay in relays:
        relay.run(["nft", "-f", "-"], stdin=SCALES)
    send_flows(lab["left"], status(lab["right"]).node.v4)
    near, far = (weighed(relay) for relay in relays)
    return near, far


def weighed(relay: Host) -> int:
    """How many of the datagrams it has passed on."""
    listed = relay.run(["nft", "-j", "list", "counters", "table", "inet", "scales"]).stdout
    return int(msgspec.json.decode(listed)["nftables"][-1]["counter"]["packets"])


def send_flows(here: Host, address: str) -> None:
    """One datagram each from so many ports; nobody has to listen."""
    with inside(here.namespace):
        sockets = [socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(FLOWS_SENT)]
    for each in sockets:
        with each:
            each.sendto(bytes(SIZE), (address, 9))
        time.sleep(0.001)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3, help="transfers over one path and over both, in turn")
    parser.add_argument("--seconds", type=float, default=5, help="length of each")
    parser.add_argument("--flows", type=int, default=8, help="streams at a time")
    parser.add_argument("--settle", type=float, default=SETTLED, help="seconds between new round trips and the count")
    main(parser, measure)
