"""`pulse api-key …`: what lets a program use the node's HTTP API over TCP.

Invariant: what goes to standard output is what one would paste; all else goes beside it.
"""

import sys
from typing import Annotated

from cyclopts import App, Parameter

from pulse import clock
from pulse.calls.apikeys import ApiKeyCalls
from pulse.cli.output import print_json, print_table
from pulse.cli.values import DataDir, Json
from pulse.client import connect
from pulse.schemas.apikeys import ApiKeyRequest, KeyScope
from pulse.wording import span

Scope = Annotated[KeyScope, Parameter(help="What it is good for: read, or write, which reads too (read).")]

app = App(
    name="api-key",
    help="Make, list and revoke keys to the HTTP API.\n\nA key is good at the node it was made on, and nowhere else.",
)


@app.command
def create(name: str, /, *, scope: Scope = "read", json: Json = False, data_dir: DataDir = None) -> None:
    """Make a key and print it, this once.

    Parameters
    ----------
    name
        What uses it, such as grafana or deploy.
    """
    with connect(data_dir) as client:
        made = ApiKeyCalls(client).create_api_key(ApiKeyRequest(name, scope))
    if json:
        print_json(made)
        return
    print(made.key, flush=True)
    may = "may read" if made.info.scope == "read" else "may read and change"
    print(f"{made.info.name} {may}, until: pulse api-key revoke {made.info.name}", file=sys.stderr)


@app.command(name="list")
def list_keys(*, json: Json = False, data_dir: DataDir = None) -> None:
    """List the keys: everything but the keys themselves."""
    with connect(data_dir) as client:
        found = ApiKeyCalls(client).list_api_keys()
    if json:
        print_json(found)
    elif found:
        now = clock.wall()
        rows = [(key.id, key.name, key.scope, f"{span(max(0.0, now - key.created))} ago") for key in found]
        print_table(("KEY", "NAME", "SCOPE", "MADE"), rows)
    else:
        print("no keys (make one: pulse api-key create <name> --scope read)")


@app.command
def revoke(key: str, /, *, json: Json = False, data_dir: DataDir = None) -> None:
    """Revoke a key: nothing is answered to it any more.

    Parameters
    ----------
    key
        Its name, or the first digits of its id, as `pulse api-key list` shows them.
    """
    with connect(data_dir) as client:
        found = ApiKeyCalls(client).revoke_api_key(key)
    if json:
        print_json(found)
    else:
        print(f"revoked {found.name} ({found.id})")
