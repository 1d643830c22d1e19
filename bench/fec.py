"""What parity is worth where packets get lost: `bench/fec.py --json`.

Two nodes on a cable with delay; one TCP stream under CUBIC, with parity (`--fec`) and without, for each loss: by chance
alone, and in bursts. Invariant: both kinds of daemon take turns at each loss; both ends, both daemons, both iperf3 and
the cable, which is a process, share this machine's cores.
"""

import argparse
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

import msgspec

from pulse.errors import PulseError
from pulse.lab.host import Host
from pulse.lab.lab import Lab
from rig import (
    PORT,
    admit,
    found,
    gbit,
    iperf_server,
    main,
    processor_times,
    row,
    status,
    stolen,
    transfer,
    wait_paths,
)
from wire import Wire, wire

LOSSES = ((0.0, 1.0), (0.005, 1.0), (0.01, 1.0), (0.02, 1.0), (0.05, 1.0), (0.005, 3.0), (0.01, 3.0), (0.02, 3.0))
"""Share of the packets that get lost, and how many in a row on average."""


class Case(msgspec.Struct):
    """One loss; Gbit/s, and what became of parity in the settled and the measured time."""

    loss_percent: float
    burst: float
    plain_gbit: float
    fec_gbit: float
    times: float
    parity: int
    """Parity packets over 20 records at the end."""
    repaired: int
    unrepairable: int


class Run(NamedTuple):
    """What all cases share."""

    here: Host
    there: Host
    cable: Wire
    options: argparse.Namespace


class Result(msgspec.Struct):
    """All cases, and the one that has a bar."""

    rtt_ms: float
    fec_gbit: float
    """At 1 % loss by chance."""
    times: float
    """Of what it is without parity."""
    steal_percent: float
    cases: list[Case]


def measure(options: argparse.Namespace) -> Result:
    """Bring up two nodes and take all figures."""
    before = processor_times()
    with Lab() as lab, wire(lab["a"], lab["b"], options.rtt / 2000) as cable, nodes(lab["a"], lab["b"]):
        wanted = [each for each in LOSSES if not options.loss or each[0] * 100 in options.loss]
        run = Run(lab["a"], lab["b"], cable, options)
        cases = [one_case(run, loss, burst) for loss, burst in wanted]
    barred = next((case for case in cases if (case.loss_percent, case.burst) == (1.0, 1.0)), cases[0])
    return Result(options.rtt, barred.fec_gbit, barred.times, stolen(before, processor_times()), cases)


@contextmanager
def nodes(one: Host, other: Host) -> Iterator[None]:
    """Two members of a network."""
    found(other)
    admit(one, other)
    wait_paths(one, other.name)
    try:
        yield
    finally:
        one.pulse("stop")
        other.pulse("stop")


def one_case(run: Run, loss: float, burst: float) -> Case:
    """The same loss without parity and with."""
    plain = one_transfer(run, loss, burst)
    fec = one_transfer(run, loss, burst, "--fec")
    sent, got = row(run.here, run.there.name), row(run.there, run.here.name)
    if not (sent and sent.fec and got and got.fec):
        raise PulseError("a daemon that was started with --fec does not say so")
    return Case(
        loss_percent=loss * 100,
        burst=burst,
        plain_gbit=plain,
        fec_gbit=fec,
        times=round(fec / plain, 1),
        parity=sent.fec.parity,
        repaired=got.fec.repaired,
        unrepairable=got.fec.unrepairable,
    )


def one_transfer(run: Run, loss: float, burst: float, *flags: str) -> float:
    """Start both daemons anew, so that no case knows the one before, and send: Gbit/s."""
    for host in (run.here, run.there):
        host.pulse("stop")
        host.pulse("start", "--tun", "--listen", f":{PORT}", *flags)
    wait_paths(run.here, run.there.name)
    address = status(run.there).node.v4
    run.cable.lose(loss, burst)
    try:
        # What is measured is a second connection: TCP that has seen losses takes half a minute to grow out of them,
        # parity or not.
        for seconds, warm_up in ((run.options.known, 0.0), (run.options.seconds, run.options.settling)):
            with iperf_server(run.there) as server:
                report = transfer(run.here, address, seconds, warm_up)
            server.stop()
        return gbit(report)
    finally:
        run.cable.lose(0.0)


def worded(result: Result) -> str:
    """A line a case."""
    lines = [f"RTT {result.rtt_ms:g} ms, {result.steal_percent:g} % stolen"]
    for case in result.cases:
        lines.append(
            f"loss {case.loss_percent:g} %, {case.burst:g} in a row: {case.plain_gbit:g} -> {case.fec_gbit:g} Gbit/s "
            f"({case.times:g} times; parity {case.parity}, {case.repaired} repaired, {case.unrepairable} not)"
        )
    return "\n".join(lines)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=5.0, help="length of one transfer")
    parser.add_argument("--known", type=float, default=7.0, help="seconds until the losses of a path are known")
    parser.add_argument("--settling", type=float, default=3.0, help="seconds of a transfer that do not count")
    parser.add_argument("--rtt", type=float, default=20.0, help="milliseconds")
    parser.add_argument("--loss", type=float, nargs="*", help="percents to take of those there are")
    main(parser, measure, worded)
