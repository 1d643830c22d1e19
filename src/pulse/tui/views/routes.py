"""Ranges beyond the mesh, and the nodes that lead there."""

from typing import Final

from pulse.calls.routes import RouteCalls
from pulse.client import Client
from pulse.schemas.scribe import MeshState
from pulse.tui.model import Line, line, word
from pulse.tui.table import SLOW, Memory, Table, text
from pulse.wording import DASH


def routes(client: Client, _: MeshState, __: Memory) -> list[Line]:
    """Each range with the node that offers it, and which is in use here."""
    return [
        line(
            f"{each.cidr} {each.id}",
            (each.cidr, word(each.cidr)),
            (each.name, word(each.name)),
            (each.told, word(each.state)),
            (each.by or DASH, word(each.by)),
            (each.behind or DASH, word(each.behind)),
        )
        for each in RouteCalls(client).all()
    ]


ROUTES: Final = Table(
    "routes",
    (text("RANGE"), text("NODE"), text("STATE"), text("APPROVED BY"), text("BEHIND IT", 90)),
    routes,
    "no routes. Offer one: pulse start --exit --exit-cidrs 0.0.0.0/0",
    SLOW,
)
