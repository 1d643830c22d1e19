"""What gossip costs a node of a thousand: `make bench`, or `bench/gossip.py --json`.

A thousand nodes, each with the machines that make, spread and hold records, on the random graph that `wanted` would
choose, in virtual time. First all restart within a second; then the figures of links wander so that every node says
as much as its limits allow. Invariant: bytes are counted as they go out on links, whoever they are for.
"""

import argparse
from statistics import fmean

import msgspec
from tests.sim.crowd import Crowd
from tests.sim.footprint import memory_of_a_peer

NODES = 1000
STEADY_BAR, RESTART_BAR, RESTART_SECONDS_BAR, MEMORY_BAR = 2.0, 64.0, 10.0, 4.0
"""kB a second, kB a second, seconds, kB a known peer (security.md §5.7)."""

BURST = 2 * STEADY_BAR
"""kB a second from which a second belongs to the restart and not to the life after it."""

WATCHED = 20
"""Seconds after a mass restart that are looked at."""

SETTLED = 5
"""Seconds of steady life that are not counted yet."""


class Result(msgspec.Struct):
    """The figures, each beside its bar; kB are 1,000 bytes."""

    nodes: int
    links: int
    steady_kb_s: float
    steady_bar_kb_s: float
    restart_peak_kb_s: float
    """Of the busiest second, the mean over all nodes."""
    restart_peak_node_kb_s: float
    """Of the busiest second of the busiest node."""
    restart_bar_kb_s: float
    restart_s: float
    """Seconds in which nodes sent more than twice the steady bar."""
    restart_known_s: float
    """Until everybody held a record of everybody."""
    restart_bar_s: float
    memory_kb_peer: float
    memory_bar_kb_peer: float
    closed_links: int
    """Links closed for breaking the rules of gossip: 0 unless something is wrong."""


def main() -> None:
    """Measure, and print a table or one JSON object as the last line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true", help="print one JSON object as the last line")
    parser.add_argument("--nodes", type=int, default=NODES)
    parser.add_argument("--seconds", type=float, default=30.0, help="virtual seconds of steady life")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    result = measure(options.nodes, options.seconds, options.seed)
    print(msgspec.json.encode(result).decode() if options.json else table(result))


def measure(nodes: int, seconds: float, seed: int) -> Result:
    """Restart a mesh, let it live on, and weigh what one node keeps of the others."""
    crowd = Crowd(nodes, seed)
    crowd.restart()
    known = crowd.run_until_all_are_known(WATCHED)
    crowd.run(max(0.0, WATCHED - crowd.now))
    restart = crowd.kilobytes_a_second(0, WATCHED)
    busiest = crowd.busiest()
    crowd.wander()
    crowd.run(SETTLED)
    begun = round(crowd.now)
    crowd.run(seconds)
    steady = crowd.kilobytes_a_second(begun, round(crowd.now))
    return Result(
        nodes=nodes,
        links=crowd.links,
        steady_kb_s=round(fmean(steady), 2),
        steady_bar_kb_s=STEADY_BAR,
        restart_peak_kb_s=round(max(restart), 1),
        restart_peak_node_kb_s=round(busiest, 1),
        restart_bar_kb_s=RESTART_BAR,
        restart_s=float(sum(each > BURST for each in restart)),
        restart_known_s=round(known, 1),
        restart_bar_s=RESTART_SECONDS_BAR,
        memory_kb_peer=round(memory_of_a_peer(crowd.records()), 2),
        memory_bar_kb_peer=MEMORY_BAR,
        closed_links=crowd.closed,
    )


def table(result: Result) -> str:
    """The figures for people."""
    restart = f"{result.restart_peak_kb_s:.1f} kB/s a node"
    rows = [
        ("steady", f"{result.steady_kb_s:.2f} kB/s a node", f"<= {result.steady_bar_kb_s:.0f}"),
        ("mass restart, busiest second", restart, f"<= {result.restart_bar_kb_s:.0f}"),
        ("mass restart, busiest node", f"{result.restart_peak_node_kb_s:.1f} kB/s", ""),
        ("mass restart, duration", f"{result.restart_s:.0f} s", f"<= {result.restart_bar_s:.0f}"),
        ("mass restart, until all know all", f"{result.restart_known_s:.1f} s", ""),
        ("memory a known peer", f"{result.memory_kb_peer:.2f} kB", f"<= {result.memory_bar_kb_peer:.0f}"),
    ]
    head = f"{result.nodes} nodes, {result.links} links, {result.closed_links} closed for breaking the rules"
    return "\n".join([head, *(f"{what:34} {figure:>20}   {bar}" for what, figure, bar in rows)])


if __name__ == "__main__":
    main()
