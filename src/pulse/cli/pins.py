"""`pulse pin`, `pulse unpin`: by which neighbour this node reaches another.

Invariant: parse, one call, print; a pin that cannot be followed now is no error, and says so.
"""

from typing import Annotated

from cyclopts import Parameter

from pulse.calls.pins import PinCalls
from pulse.cli.output import print_json
from pulse.cli.values import DataDir, Json
from pulse.client import connect
from pulse.errors import ConfigError

Via = Annotated[str | None, Parameter(name="--via", help="The same as a second node.")]
Direct = Annotated[bool, Parameter(help="By the link to the node itself.")]


def pin(
    node: str,
    via: str | None = None,
    /,
    *,
    by: Via = None,
    direct: Direct = False,
    json: Json = False,
    data_dir: DataDir = None,
) -> None:
    """Reach a node by one neighbour, whatever the scores say.

    What that node sends here takes its own way.

    More: pulse help paths

    Parameters
    ----------
    node
        Its name, its mesh address, or the first digits of its id.
    via
        The neighbour to begin with, in the same words.
    """
    if sum((via is not None, by is not None, direct)) != 1:
        raise ConfigError(
            f"pulse pin wants one way: pulse pin {node} <via>, or pulse pin {node} --direct.\n"
            "See the nodes: pulse status"
        )
    with connect(data_dir) as client:
        told = PinCalls(client).pin(node, via or by or "", direct=direct)
    if json:
        print_json(told)
    else:
        way = "to its own link" if told.direct else f"over {told.via}"
        print(f"{told.name} is pinned {way}" + ("" if told.followed else f"; {told.problem}"))


def unpin(node: str, /, *, json: Json = False, data_dir: DataDir = None) -> None:
    """Reach a node by the best path again.

    Parameters
    ----------
    node
        Its name, its mesh address, or the first digits of its id.
    """
    with connect(data_dir) as client:
        told = PinCalls(client).unpin(node)
    if json:
        print_json(told)
    else:
        print(f"{told.name} is reached by the best path again")
