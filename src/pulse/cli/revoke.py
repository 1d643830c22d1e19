"""`pulse revoke`: shut a node out for good. On the scribe, the CA or an operator.

Invariant: parse, one call, print.
"""

from typing import Annotated

from cyclopts import Parameter

from pulse.calls.revoke import RevokeCalls
from pulse.cli.output import print_json
from pulse.cli.values import DataDir, Json
from pulse.client import connect
from pulse.core.types import SHORT_ID

Node = Annotated[str, Parameter(help="Its name, its mesh address, or the first digits of its id.")]
Force = Annotated[bool, Parameter(help="Even the last CA or scribe; on the CA only.")]


def revoke(node: Node, *, force: Force = False, json: Json = False, data_dir: DataDir = None) -> None:
    """Shut a node out for good.

    There is no way back for its key, but for one that a stolen scribe revoked: pulse ca grant NODE scribe
    --reinstate. On the scribe, the CA or an operator.

    More: pulse help trust
    """
    with connect(data_dir) as client:
        told = RevokeCalls(client).revoke(node, force=force)
    if json:
        print_json(told)
        return
    short = told.id[:SHORT_ID]
    print(f"revoked {told.name} ({short})" if told.name != short else f"revoked {short}")
    print("Its machine comes back only with a new key: another --data-dir, and a new invite.")
