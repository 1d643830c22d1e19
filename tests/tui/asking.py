"""A view is asked as `pulse top` asks it."""

from pulse.client import Client
from pulse.tui.model import Line
from pulse.tui.table import Memory, Table


def asked(client: Client, table: Table) -> list[Line]:
    """What a view shows at its first look."""
    return table.ask(client, client.mesh(), Memory())
