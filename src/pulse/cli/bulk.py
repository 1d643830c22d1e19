"""`pulse bulk <pattern> tag|untag|revoke …`: one change for many nodes.

Invariant: parse, one call, print; nobody is revoked in numbers without --yes.
"""

from collections.abc import Mapping
from typing import Annotated, Final

from cyclopts import Parameter

from pulse.calls.bulk import BulkCalls
from pulse.cli.output import print_json
from pulse.cli.values import DataDir, Json
from pulse.client import connect
from pulse.core.types import SHORT_ID
from pulse.errors import ConfigError, Refused
from pulse.schemas.bulk import BulkAction, BulkRequest
from pulse.wording import counted

Yes = Annotated[bool, Parameter(help="Revoke them without being asked again.")]

_VERBS: Final[Mapping[BulkAction, str]] = {"tag": "tagged", "untag": "untagged", "revoke": "revoked"}


def bulk(
    pattern: str,
    action: BulkAction,
    tag: str = "",
    /,
    *,
    dry_run: bool = False,
    yes: Yes = False,
    json: Json = False,
    data_dir: DataDir = None,
) -> None:
    """Tag, untag or revoke all nodes that a pattern fits.

    On the scribe, the CA or an operator.

    Parameters
    ----------
    pattern
        As in rules: a name, tag:x, group:x, an id glob such as 'a3f2*', or '*' for all.
    action
        What to do with them.
    tag
        The tag to give or take.
    dry_run
        Only say to whom it would happen.
    """
    asks = action == "revoke" and not yes
    request = BulkRequest(pattern, action, tag, dry_run=dry_run or asks)
    with connect(data_dir) as client:
        done = BulkCalls(client).bulk(request)
    if json:
        print_json(done)
    else:
        for node in done.nodes:
            print(f"{node.id[:SHORT_ID]}  {node.name}  {' '.join(node.tags)}".rstrip())
    if asks and not dry_run:
        raise ConfigError(
            f"{counted(len(done.nodes), 'node')} would be out for good; nothing is done yet.\n"
            f"If that is meant: pulse bulk '{pattern}' revoke --yes"
        )
    if not json:
        verb = _VERBS[action]
        print(f"{counted(len(done.nodes), 'node')} {verb if done.done else f'would be {verb}'}")
    if done.problems:
        lines = "\n".join(f"{node[:SHORT_ID]}  {why}" for node, why in done.problems.items())
        raise Refused(f"{counted(len(done.problems), 'node')} could not be {_VERBS[action]}:\n{lines}")
