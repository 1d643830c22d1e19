"""What happened, the newest first."""

from typing import Final

from pulse.calls.events import EventCalls
from pulse.client import Client
from pulse.schemas.events import EventsQuery
from pulse.schemas.scribe import MeshState
from pulse.tui.model import Line, line, number, word
from pulse.tui.table import Memory, Table, text
from pulse.wording import DASH, moment

NEWEST: Final = 200
"""Events shown."""


def events(client: Client, _: MeshState, __: Memory) -> list[Line]:
    """The newest entries of the node's journal."""
    found = EventCalls(client).events(EventsQuery(limit=NEWEST)).events
    return [
        line(
            str(each.seq),
            (moment(each.time), number(each.time)),
            (each.type, word(each.type)),
            (each.name or DASH, word(each.name)),
            (told, word(told)),
        )
        for each in reversed(found)
        for told in [" ".join(f"{name}={value}" for name, value in each.fields.items())]
    ]


EVENTS: Final = Table(
    "events",
    (text("TIME"), text("TYPE"), text("NODE"), text("WHAT")),
    events,
    "nothing happened yet",
)
