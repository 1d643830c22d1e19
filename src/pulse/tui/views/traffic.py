"""How much each node moved."""

from typing import Final

from pulse.calls.stats import StatsCalls
from pulse.client import Client
from pulse.schemas.scribe import MeshState
from pulse.tui.model import Line, line, number, word
from pulse.tui.table import SLOW, Memory, Table, figure, text
from pulse.wording import size, speed


def traffic(client: Client, _: MeshState, __: Memory) -> list[Line]:
    """As the scribe sums it; where that is not told, this node alone."""
    return [
        line(
            each.id,
            (each.name, word(each.name)),
            (size(each.bytes_out), number(each.bytes_out)),
            (speed(each.rate_out), number(each.rate_out)),
            (size(each.bytes_in), number(each.bytes_in)),
            (speed(each.rate_in), number(each.rate_in)),
            (str(each.active_conns), number(each.active_conns)),
        )
        for each in StatsCalls(client).stats().rows
    ]


TRAFFIC: Final = Table(
    "traffic",
    (text("NODE"), figure("TX"), figure("TX/S"), figure("RX"), figure("RX/S"), figure("CONNS")),
    traffic,
    "no node has reported yet",
    SLOW,
)
