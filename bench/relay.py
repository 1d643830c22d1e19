"""What relays cost and how soon they are replaced: `bench/relay.py --json`.

Two nodes reach each other over either of two relays alone, which reach each other too. Invariant: nothing of the kernel
passes anything on, so all that arrives went over the mesh; cable and relay take turns in one run.
"""

import argparse
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import msgspec

from pulse import clock
from pulse.lab import stream
from pulse.lab.beat import Beat, beating
from pulse.lab.failover import silence_since, silences
from pulse.lab.host import Host, wait_until
from pulse.lab.lab import Lab
from pulse.lab.stream import Stream
from pulse.lab.topologies import RELAY, TWO_RELAYS
from rig import (
    PORT,
    appeared,
    first_answer,
    found,
    gbit,
    has_link,
    iperf_server,
    main,
    median,
    p95,
    ping,
    processor_times,
    row,
    start,
    status,
    stolen,
    transfer,
    up_since,
    wait_paths,
)

PACE = 40.0
"""Mbit/s of the stream that is watched while its path changes."""


class Switch(msgspec.Struct):
    """Milliseconds of the longest silence: while nothing changes, as a direct path comes, as its cable is pulled."""

    calm_ms: float
    udp_ms: float
    tcp_ms: float
    back_udp_ms: float
    back_tcp_ms: float


class Result(msgspec.Struct):
    """Medians, and all values they come from; seconds unless the name says otherwise."""

    raw_gbit: float
    """One cable, the first half of the way."""
    relay_gbit: float
    ratio: float
    rtt_relay_ms: float
    join_to_ping_s: float
    """A machine that is no member yet: from the first act of its daemon to the first ping its neighbour answers."""
    start_to_ping_s: float
    """A member: from `pulse start` being typed, so two interpreters come up in this time."""
    first_ping_direct_s: float
    """A member: from its daemon being up."""
    first_ping_relay_s: float
    failover_s: float
    failover_p95_s: float
    switch_gap_ms: float
    """Longest silence of a UDP beat while its path changes from relay to direct."""
    switch_gap_tcp_ms: float
    back_gap_ms: float
    """The same once the cable of the direct path is pulled."""
    calm_gap_ms: float
    """The same while nothing changes: what the machine itself adds."""
    steal_percent: float
    transfers: list[tuple[float, float]]
    joins: list[float]
    starts: list[float]
    first_pings: list[tuple[float, float]]
    failovers: list[float]
    switches: list[Switch]


def measure(options: argparse.Namespace) -> Result:
    """Bring up four nodes and take all figures."""
    before = processor_times()
    with Lab(TWO_RELAYS) as lab:
        joins = bring_up(lab)
        address = status(lab["right"]).node.v4
        rtt = ping(lab["left"], address)
        with iperf_server(lab["right"]), iperf_server(lab["relay"]):
            transfers = [one_transfer(lab, address, options.seconds) for _ in range(options.rounds)]
        direct = [first_ping(lab, status(lab["relay"]).node.v4) for _ in range(options.rounds)]
        relayed = [first_ping(lab, address) for _ in range(options.rounds)]
        failovers = silences(lab, options.kills, lambda *_: None)
    switches = [switch() for _ in range(options.switches)]
    return Result(
        raw_gbit=median([raw for raw, _ in transfers], 2),
        relay_gbit=median([relayed for _, relayed in transfers], 2),
        ratio=median([relayed / raw for raw, relayed in transfers]),
        rtt_relay_ms=rtt,
        join_to_ping_s=median(joins),
        start_to_ping_s=median([typed for typed, _ in direct]),
        first_ping_direct_s=median([up for _, up in direct]),
        first_ping_relay_s=median([up for _, up in relayed]),
        failover_s=median(failovers),
        failover_p95_s=p95(failovers),
        switch_gap_ms=median([each.udp_ms for each in switches], 1),
        switch_gap_tcp_ms=median([each.tcp_ms for each in switches], 1),
        back_gap_ms=median([each.back_udp_ms for each in switches], 1),
        calm_gap_ms=median([each.calm_ms for each in switches], 1),
        steal_percent=stolen(before, processor_times()),
        transfers=transfers,
        joins=joins,
        starts=[typed for typed, _ in direct],
        first_pings=[(near, far) for (_, near), (_, far) in zip(direct, relayed, strict=True)],
        failovers=failovers,
        switches=switches,
    )


# The mesh


def bring_up(lab: Lab) -> list[float]:
    """The CA is the first relay, over which the others join; how long each took to its first ping."""
    found(lab["relay"])
    joins = [join_to_ping(host, lab["relay"]) for name, host in lab.hosts.items() if name != "relay"]
    whole(lab)
    return joins


def join_to_ping(host: Host, ca: Host) -> float:
    """Seconds from the first act of a daemon that has to join, to its first ping of the CA."""
    token = ca.pulse("token", "create", "--max-uses", "1").stdout.split()[-1]
    flags = ["--tun", "--listen", f":{PORT}", "--join", f"{host.way_to(ca)}:{PORT}", "--token", token]
    with ThreadPoolExecutor() as pool:
        acted = pool.submit(appeared, host.data / "lock")
        answered = pool.submit(first_answer, host, status(ca).node.v4)
        host.pulse("start", *flags)
        return round(answered.result() - acted.result(), 3)


def whole(lab: Lab) -> None:
    """Wait until every cable has a link, so that whoever is killed, there is another way; and all paths are there.

    Paths alone tell less: a link that failed lately is there and goes unused while another way is.
    """
    for host in lab.hosts.values():
        others = [other for other in lab.hosts.values() if other is not host]
        near = [status(other).node.id for other in others if share_cable(host, other)]
        wait_until(partial(has_links, host, near), f"{host.name} has links over all its cables")
        wait_paths(host, *(other.name for other in others))


def share_cable(one: Host, other: Host) -> bool:
    """True if one network joins both."""
    return bool({port.network for port in one.ports} & {port.network for port in other.ports})


def has_links(host: Host, nodes: Sequence[str]) -> bool:
    """True if there are links to all these nodes."""
    return all(has_link(host, node) for node in nodes)


# Figures


def one_transfer(lab: Lab, address: str, seconds: float) -> tuple[float, float]:
    """Gbit/s over the bare cable to the relay, then over the relay to the other end."""
    raw = gbit(transfer(lab["left"], str(lab["relay"].v4.ip), seconds))
    return raw, gbit(transfer(lab["left"], address, seconds))


def first_ping(lab: Lab, address: str) -> tuple[float, float]:
    """Stop a node and start it again; seconds to its first answered ping since that was typed, and since it was up."""
    left = lab["left"]
    left.pulse("stop")
    with ThreadPoolExecutor() as pool:
        answered = pool.submit(first_answer, left, address)
        typed = clock.wall()
        start(left)
        moment = answered.result()
    whole(lab)
    return round(moment - typed, 3), round(moment - up_since(left), 3)


def switch() -> Switch:
    """Let a direct path come and go, in a mesh of its own: a link that failed before would be left alone a while."""
    with Lab(RELAY) as lab:
        bring_up(lab)
        left, right = lab["left"], lab["right"]
        address = status(right).node.v4
        under_way = stream.begin(left, right, address, mbit=PACE)
        with beating(left, right, address) as beat:
            beat.wait_more()
            calm = silence_since(beat, time.monotonic())
            begin = time.monotonic()
            lab.join_network("left", "right")
            wait_until(lambda: is_direct(left, "right") and is_direct(right, "left"), "there is a direct path")
            came, came_tcp = silences_since(beat, under_way, begin)
            begin = time.monotonic()
            lab.cut("left", "right")
            went, went_tcp = silences_since(beat, under_way, begin)
        under_way.finish()
    return Switch(*(round(1000 * each, 1) for each in (calm, came, came_tcp, went, went_tcp)))


def silences_since(beat: Beat, under_way: Stream, moment: float) -> tuple[float, float]:
    """The longest silences of both that end after that moment, once what changes now is over."""
    silence = silence_since(beat, moment)
    under_way.wait_moving()
    return silence, under_way.longest_gap(moment)


def is_direct(host: Host, other: str) -> bool:
    """True if nobody is between a host and the other."""
    seen = row(host, other)
    return seen is not None and seen.link != "-" and not seen.via


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3, help="transfers and first pings")
    parser.add_argument("--seconds", type=float, default=5.0, help="length of one transfer")
    parser.add_argument("--kills", type=int, default=20, help="how often a relay is killed")
    parser.add_argument("--switches", type=int, default=5, help="how often a direct path comes and goes")
    main(parser, measure)
