"""`pulse top`: the mesh in a terminal, followed as it changes.

Invariant: nothing of the interface is loaded before a terminal and a node are there.
"""

import os
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from pulse.calls.whereabouts import WhereaboutsCalls
from pulse.channel import HTTP_PORT
from pulse.cli.argv import revealed
from pulse.cli.output import is_terminal
from pulse.cli.values import DataDir
from pulse.client import API_KEY, API_URL, connect
from pulse.errors import ConfigError, LinkError

Elsewhere = Annotated[
    str,
    Parameter(help="A node elsewhere, by its name or the URL of its API, http://host:port; needs a key of it."),
]
Key = Annotated[str, Parameter(help="Key to that API, or - to read it from standard input (PULSE_API_KEY).")]


def top(*, node: Elsewhere = "", key: Key = "", data_dir: DataDir = None) -> None:
    """Show the mesh in this terminal as it changes.

    Nodes, paths, policy, tokens, DNS, routes, certificates, events and traffic, each with what can be done about
    it. Press ? for the keys.
    """
    if not is_terminal():
        raise ConfigError("pulse top needs a terminal. For programs: pulse status --json")
    if "://" in node and data_dir:
        raise ConfigError("--node is a node elsewhere, --data-dir one of this machine. Say one of them")
    if key and not (node or os.environ.get(API_URL)):
        raise ConfigError("--key is for a node elsewhere. Say which: --node relay-01")
    # What `:` runs is a process of its own, and finds the same node by the same variables.
    if node:
        os.environ[API_URL] = _url(node, data_dir)
    if key:
        os.environ[API_KEY] = revealed(key, "--key")
    shown = None if node else data_dir
    with connect(shown) as client:
        client.status()

    from pulse.tui.app import TopApp

    TopApp(shown).run()


def _url(node: str, data_dir: Path | None) -> str:
    """Where a node's API is: as it was typed, or at its mesh address, by the word of the node here."""
    if "://" in node:
        return node
    try:
        client = connect(data_dir)
    except LinkError as error:
        raise LinkError(f"{error}\nOr say where the API of {node} is: --node http://10.100.41.7:{HTTP_PORT}") from error
    with client:
        return f"http://{WhereaboutsCalls(client).find(node).v4}:{HTTP_PORT}"
