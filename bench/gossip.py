"""What gossip costs a node of a thousand: `make bench`, or `bench/gossip.py --json`.

A thousand nodes, each with the machines that make, spread and hold records, on the random graph that `wanted` would
choose, in virtual time. First all restart within a second, then the figures of links wander so that every node says
as much as its limits allow. Invariant: bytes are counted as they go out on links, whoever they are for.
"""

import argparse

import msgspec

NODES = 1000
BY_HASH = 8
"""Links each node chooses, as `core/paths/wanted.py` does in a large mesh."""

FRAMING = 4
"""Bytes of a message on a link's control stream beside its own."""

STEADY_BAR = 2.0
RESTART_BAR = 64.0
RESTART_SECONDS_BAR = 10.0
MEMORY_BAR = 4.0
"""kB a second, kB a second, seconds, kB a known peer (security.md §5.7)."""


class Result(msgspec.Struct):
    """The figures, each beside its bar."""

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
    """Until everybody holds the newest record of everybody."""
    restart_bar_s: float
    memory_kb_peer: float
    memory_bar_kb_peer: float
    closed_links: int
    """Links closed for breaking the rules of gossip; 0 unless something is wrong."""


def main() -> None:
    """Measure, and print a table or one JSON object as the last line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true", help="print one JSON object as the last line")
    parser.add_argument("--nodes", type=int, default=NODES)
    parser.add_argument("--seconds", type=float, default=600.0, help="virtual seconds of steady life")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    result = measure(options.nodes, options.seconds, options.seed)
    print(msgspec.json.encode(result).decode() if options.json else table(result))


def table(result: Result) -> str:
    """The figures for people."""
    rows = [
        ("steady", f"{result.steady_kb_s:.2f} kB/s a node", f"<= {result.steady_bar_kb_s:.0f}"),
        (
            "mass restart, busiest second",
            f"{result.restart_peak_kb_s:.1f} kB/s a node",
            f"<= {result.restart_bar_kb_s:.0f}",
        ),
        ("mass restart, busiest node", f"{result.restart_peak_node_kb_s:.1f} kB/s", ""),
        ("mass restart, until all know all", f"{result.restart_s:.1f} s", f"<= {result.restart_bar_s:.0f}"),
        ("memory a known peer", f"{result.memory_kb_peer:.2f} kB", f"<= {result.memory_bar_kb_peer:.0f}"),
    ]
    head = f"{result.nodes} nodes, {result.links} links, {result.closed_links} closed for breaking the rules"
    return "\n".join([head, *(f"{what:34} {figure:>20}   {bar}" for what, figure, bar in rows)])
