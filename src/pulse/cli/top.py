"""`pulse top`: the mesh in a terminal, followed as it changes.

Invariant: nothing of the interface is loaded before a terminal and a node are there.
"""

import os
from typing import Annotated

from cyclopts import Parameter

from pulse.cli.argv import revealed
from pulse.cli.output import is_terminal
from pulse.cli.values import DataDir
from pulse.client import API_KEY, API_URL, connect
from pulse.errors import ConfigError

Url = Annotated[str, Parameter(help="API of a node elsewhere, http://host:port; needs a key.")]
Key = Annotated[str, Parameter(help="Key to that API, or - to read it from standard input (PULSE_API_KEY).")]


def top(*, node: Url = "", key: Key = "", data_dir: DataDir = None) -> None:
    """Show the mesh in this terminal as it changes: nodes, paths, policy, tokens, routes, events. Press ? for help."""
    if not is_terminal():
        raise ConfigError("pulse top needs a terminal. For programs: pulse status --json")
    if node and data_dir:
        raise ConfigError("--node is a node elsewhere, --data-dir one of this machine. Say one of them")
    if key and not (node or os.environ.get(API_URL)):
        raise ConfigError("--key is for a node elsewhere. Say which: --node http://10.100.41.7:8080")
    # What `:` runs is a process of its own, and finds the same node by the same variables.
    if node:
        os.environ[API_URL] = node
    if key:
        os.environ[API_KEY] = revealed(key, "--key")
    with connect(data_dir) as client:
        client.status()

    from pulse.tui.app import TopApp

    TopApp(data_dir).run()
