"""`pulse route`: ranges beyond the mesh, and the nodes that lead there.

Invariant: parse, one call, print.
"""

from cyclopts import App

from pulse.calls.routes import RouteCalls
from pulse.cli.output import print_json, print_table
from pulse.cli.values import DataDir, Json
from pulse.client import connect
from pulse.schemas.routes import RouteChange, RouteRef, RouteRequest
from pulse.wording import DASH

app = App(
    name="route",
    help=(
        "See and approve ranges beyond the mesh, and the nodes that lead there.\n\n"
        "Edits on the scribe, the CA or an operator, lists on every node.\n\nMore: pulse help exits"
    ),
)


@app.default
@app.command(name="list")
def list_routes(*, json: Json = False, data_dir: DataDir = None) -> None:
    """List the ranges that nodes offer, who approved them, and what this node uses."""
    with connect(data_dir) as client:
        found = RouteCalls(client).all()
    if json:
        print_json(found)
    elif found:
        rows = [(each.cidr, each.name, each.behind or DASH, each.by or DASH, each.told) for each in found]
        print_table(("RANGE", "NODE", "BEHIND IT", "APPROVED BY", "STATE"), rows)
    else:
        print("no routes (offer one: pulse start --exit --exit-cidrs 0.0.0.0/0)")


@app.command
def add(node: str, cidr: str, /, *, mapped: str = "", json: Json = False, data_dir: DataDir = None) -> None:
    """State a route and approve it: that node leads to that range.

    Until the node offers it (--exit --exit-cidrs) the range is closed for all.

    Parameters
    ----------
    node
        Its name, its mesh address, or the first digits of its id.
    cidr
        The range as it is behind the node, such as 192.168.7.0/24.
    mapped
        A range of the same size that the mesh knows it by: for sites that have the same addresses.
    """
    with connect(data_dir) as client:
        change = RouteCalls(client).add(RouteRequest(node, cidr, mapped))
    _show(change, "routed", json=json)


@app.command
def approve(cidr: str, /, *, node: str = "", json: Json = False, data_dir: DataDir = None) -> None:
    """Approve a range that a node offers: from then on the others use it.

    Parameters
    ----------
    cidr
        The range, as pulse route list shows it.
    node
        Which node, if several offer the range.
    """
    with connect(data_dir) as client:
        change = RouteCalls(client).approve(RouteRef(cidr, node))
    _show(change, "approved", json=json)


@app.command
def remove(cidr: str, /, *, node: str = "", json: Json = False, data_dir: DataDir = None) -> None:
    """Take a route away, and its approval with it.

    Parameters
    ----------
    cidr
        The range, as pulse route list shows it.
    node
        Which node, if several lead there.
    """
    with connect(data_dir) as client:
        change = RouteCalls(client).remove(RouteRef(cidr, node))
    _show(change, "removed", json=json)


def _show(change: RouteChange, done: str, *, json: bool) -> None:
    if json:
        print_json(change)
    else:
        print(f"{done} {change.cidr} through {change.name}\nnetwork config {change.version}")
