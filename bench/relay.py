"""What relays cost and how soon they are replaced: `bench/relay.py --json`.

Two nodes reach each other over either of two relays alone, which reach each other too. Invariant: nothing of the kernel
passes anything on, so all that arrives went over the mesh; cable and relay take turns in one run.
"""

import argparse
import os
import signal
import time

import msgspec

from pulse.lab import stream
from pulse.lab.beat import Beat, beating
from pulse.lab.host import Host, wait_until
from pulse.lab.lab import Lab
from pulse.lab.topologies import TWO_RELAYS
from rig import (
    admit,
    first_answer,
    found,
    gbit,
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
    wait_paths,
)

SILENCE = 20.0
"""Seconds a flow may be silent after a kill before the bench gives up on it."""

PACE = 40.0
"""Mbit/s of the stream that is watched while its path changes."""

SETTLED = 1.0
"""Seconds after which a change of path is over, and what comes later belongs to no change."""


class Result(msgspec.Struct):
    """Medians, and all values they come from; seconds unless the name says otherwise."""

    raw_gbit: float
    """One cable, the first half of the way."""
    relay_gbit: float
    ratio: float
    rtt_relay_ms: float
    first_ping_direct_s: float
    first_ping_relay_s: float
    failover_s: float
    failover_p95_s: float
    switch_gap_ms: float
    """Longest silence of a UDP beat while its path changes from relay to direct."""
    switch_gap_tcp_ms: float
    back_gap_ms: float
    """The same once the cable of the direct path is pulled."""
    steal_percent: float
    transfers: list[tuple[float, float]]
    first_pings: list[tuple[float, float]]
    failovers: list[float]
    switches: list[tuple[float, float, float]]


def measure(options: argparse.Namespace) -> Result:
    """Bring up four nodes and take all figures."""
    before = processor_times()
    with Lab(TWO_RELAYS) as lab:
        bring_up(lab)
        address = status(lab["right"]).node.v4
        rtt = ping(lab["left"], address)
        with iperf_server(lab["right"]), iperf_server(lab["relay"]):
            transfers = [one_transfer(lab, address, options.seconds) for _ in range(options.rounds)]
        first = [first_pings(lab, address) for _ in range(options.rounds)]
        failovers = fail_over(lab, address, options.kills)
        switches = switch(lab, address, options.switches)
    return Result(
        raw_gbit=median([raw for raw, _ in transfers], 2),
        relay_gbit=median([relayed for _, relayed in transfers], 2),
        ratio=median([relayed / raw for raw, relayed in transfers]),
        rtt_relay_ms=rtt,
        first_ping_direct_s=median([direct for direct, _ in first]),
        first_ping_relay_s=median([relayed for _, relayed in first]),
        failover_s=median(failovers),
        failover_p95_s=p95(failovers),
        switch_gap_ms=median([udp for udp, _, _ in switches], 1),
        switch_gap_tcp_ms=median([tcp for _, tcp, _ in switches], 1),
        back_gap_ms=median([back for _, _, back in switches], 1),
        steal_percent=stolen(before, processor_times()),
        transfers=transfers,
        first_pings=first,
        failovers=failovers,
        switches=switches,
    )


def bring_up(lab: Lab) -> None:
    """The CA is the first relay; the inner nodes join over it."""
    found(lab["relay"])
    for name in ("spare", "left", "right"):
        admit(lab[name], lab["relay"])
    whole(lab)


def whole(lab: Lab) -> None:
    """Wait until everybody has a path to everybody."""
    for host in lab.hosts.values():
        wait_paths(host, *(name for name in lab.hosts if name != host.name))


def one_transfer(lab: Lab, address: str, seconds: float) -> tuple[float, float]:
    """Gbit/s over the bare cable to the relay, then over the relay to the other end."""
    raw = gbit(transfer(lab["left"], str(lab["relay"].v4.ip), seconds))
    return raw, gbit(transfer(lab["left"], address, seconds))


def first_pings(lab: Lab, address: str) -> tuple[float, float]:
    """From the moment a daemon is up to its first answered ping: to the relay, and over a relay."""
    left, relay = lab["left"], status(lab["relay"]).node.v4
    times = []
    for target in (relay, address):
        left.pulse("stop")
        start(left)
        times.append(round(first_answer(left, target), 3))
    whole(lab)
    return times[0], times[1]


def fail_over(lab: Lab, address: str, kills: int) -> list[float]:
    """Seconds of silence after each kill -9 of the relay in use, while the other one is there."""
    silences = []
    with beating(lab["left"], lab["right"], address) as beat:
        for _ in range(kills):
            beat.wait_more()
            victim = relay_in_use(lab)
            killed = time.monotonic()
            os.kill(victim.pulse_pid, signal.SIGKILL)
            silences.append(round(silence_after(beat, killed), 3))
            restart(victim)
            whole(lab)
    return silences


def relay_in_use(lab: Lab) -> Host:
    """The relay that most of the flow passes: its interfaces carry it."""
    relays = [lab["relay"], lab["spare"]]
    before = [carried(host) for host in relays]
    time.sleep(0.3)
    passed = [carried(host) - early for host, early in zip(relays, before, strict=True)]
    return relays[passed.index(max(passed))]


def carried(host: Host) -> int:
    """Packets that left a host's cables so far."""
    counters = [f"/sys/class/net/{port.interface}/statistics/tx_packets" for port in host.ports]
    return sum(map(int, host.run(["cat", *counters]).stdout.split()))


def silence_after(beat: Beat, moment: float) -> float:
    """The longest silence that ends after that moment, once beats have come steadily again."""
    wait_until(lambda: beat.arrivals[-1] > moment + SETTLED, "beats arrive again", SILENCE)
    beat.wait_more()
    return beat.longest_gap(moment)


def restart(host: Host) -> None:
    """Bring a relay back."""
    if host.name == "relay":
        found(host)
    else:
        start(host)


def switch(lab: Lab, address: str, times: int) -> list[tuple[float, float, float]]:
    """Milliseconds of silence as a direct path comes, of a UDP beat and a TCP stream, and of the beat as it goes."""
    left, right = lab["left"], lab["right"]
    silences = []
    under_way = stream.begin(left, right, address, mbit=PACE)
    with beating(left, right, address) as beat:
        for turn in range(times):
            begin = time.monotonic()
            if turn:
                lab.mend("left", "right")
            else:
                lab.join_network("left", "right")
            wait_until(lambda: is_direct(left, "right") and is_direct(right, "left"), "there is a direct path")
            udp = silence_after(beat, begin)
            under_way.wait_moving()
            tcp = under_way.longest_gap(begin)
            pulled = time.monotonic()
            lab.cut("left", "right")
            back = silence_after(beat, pulled)
            under_way.wait_moving()
            silences.append((round(udp * 1000, 1), round(tcp * 1000, 1), round(back * 1000, 1)))
    under_way.finish()
    return silences


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
