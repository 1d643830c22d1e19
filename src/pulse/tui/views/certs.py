"""When whose certificate ends."""

from typing import Final

from pulse.client import Client
from pulse.schemas.scribe import MeshState
from pulse.tui.model import Line, line, number, word
from pulse.tui.table import Memory, Table, figure, text
from pulse.wording import moment, span


def certificates(client: Client, _: MeshState, __: Memory) -> list[Line]:
    """What is left of each, and whether its node is reached."""
    return [
        line(
            each.id,
            (each.name, word(each.name)),
            (moment(each.not_after), number(each.not_after)),
            (span(each.left) if each.left >= 0 else "ended", number(each.left)),
            (each.outlook, word(each.outlook)),
            ("yes" if each.reached else "no", word("yes" if each.reached else "no")),
        )
        for each in client.certificates()
    ]


CERTS: Final = Table(
    "certs",
    (text("NODE"), text("ENDS"), figure("LEFT"), text("OUTLOOK"), text("REACHED")),
    certificates,
    "none is known",
)
