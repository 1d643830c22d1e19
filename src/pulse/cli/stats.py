"""`pulse stats`: how much traffic each node has, or one node with each of its peers.

Invariant: what is shown says who counted it, and why it is not all.
"""

from typing import Final

from pulse.calls.stats import StatsCalls
from pulse.cli import watching
from pulse.cli.output import print_table
from pulse.cli.values import DataDir, Json
from pulse.cli.watching import Watch
from pulse.client import connect
from pulse.core.types import SHORT_ID
from pulse.schemas.stats import Stats, TrafficRow
from pulse.wording import size, speed

HEADER: Final = ("TX", "TX/S", "RX", "RX/S", "CONNS")
NUMBERS: Final = frozenset(HEADER)


def stats(
    node: str = "",
    /,
    *,
    json: Json = False,
    watch: Watch = False,
    data_dir: DataDir = None,
) -> None:
    """Show how much traffic each node has, and how fast.

    The scribe sums what nodes report every ten seconds. TX and RX are bytes of IP packets and connections that a
    node sent into the mesh and had from it, over all its starts; CONNS are connections open now. Operators, the CA
    and the scribe are told of all nodes, others of their own.

    Parameters
    ----------
    node
        One node, with each of its peers, since it started: by name, mesh address, or the first digits of its id.
    """
    with connect(data_dir) as client:
        calls = StatsCalls(client)
        watching.show(lambda: calls.stats(node), _draw, json=json, watch=watch)


def _draw(found: Stats) -> None:
    first = "PEER" if found.of else "NODE"
    if found.rows:
        print_table((first, *HEADER), [_row(each) for each in found.rows], NUMBERS, frozenset({first}))
    else:
        print(f"nothing was exchanged with {found.of} yet" if found.of else "no node has reported yet")
    print(_foot(found))


def _foot(found: Stats) -> str:
    if found.problem:
        return f"of this node alone: {found.problem}"
    if found.of:
        return f"counted by {found.told_by} since it started"
    return f"counted by all nodes, summed by {found.told_by}"


def _row(found: TrafficRow) -> tuple[str, ...]:
    return (
        found.name or found.id[:SHORT_ID],
        size(found.bytes_out),
        speed(found.rate_out),
        size(found.bytes_in),
        speed(found.rate_in),
        str(found.active_conns),
    )
