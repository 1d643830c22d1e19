"""`pulse top`: the mesh in a terminal, followed as it changes.

Invariant: nothing of the interface is loaded before a terminal and a node are there.
"""

from pulse.cli.output import is_terminal
from pulse.cli.values import DataDir
from pulse.client import connect
from pulse.errors import ConfigError


def top(*, data_dir: DataDir = None) -> None:
    """Show the mesh in this terminal as it changes: nodes, policy, tokens, certificates, events. Press ? for help."""
    if not is_terminal():
        raise ConfigError("pulse top needs a terminal. For programs: pulse status --json")
    with connect(data_dir) as client:
        client.status()

    from pulse.tui.app import TopApp

    TopApp(data_dir).run()
