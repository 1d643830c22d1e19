"""What names say besides those of the nodes."""

from typing import Final

from pulse.calls.dns import DnsCalls
from pulse.client import Client
from pulse.schemas.scribe import MeshState
from pulse.tui.model import Line, line, number, word
from pulse.tui.table import Memory, Table, figure, text


def dns(client: Client, _: MeshState, __: Memory) -> list[Line]:
    """The zone records of the network."""
    return [
        line(
            f"{each.name} {each.type} {each.value}",
            (each.name, word(each.name)),
            (each.type, word(each.type)),
            (each.value, word(each.value)),
            (str(each.ttl), number(each.ttl)),
        )
        for each in DnsCalls(client).records()
    ]


DNS: Final = Table(
    "dns",
    (text("NAME"), text("TYPE"), text("VALUE"), figure("TTL")),
    dns,
    "no records. Press a for one; nodes need none",
)
