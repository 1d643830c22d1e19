"""`pulse name`, `pulse tag`, `pulse untag`: what a node is called everywhere. On the scribe, the CA or an operator.

Invariant: parse, one call, print.
"""

from pulse.calls.names import NameCalls
from pulse.cli.output import print_json
from pulse.cli.values import DataDir, Json
from pulse.client import connect
from pulse.core.types import SHORT_ID
from pulse.schemas.names import NodeNaming


def name(node: str, name: str, /, *, json: Json = False, data_dir: DataDir = None) -> None:
    """Name a node.

    The whole network calls it that from now on. On the scribe, the CA or an operator.

    More: pulse help names

    Parameters
    ----------
    node
        Its name so far, its mesh address, or the first digits of its id.
    name
        Lower case letters, digits and inner -; free again when the node gets another one.
    """
    with connect(data_dir) as client:
        told = NameCalls(client).set_name(node, name)
    if json:
        print_json(told)
    else:
        print(f"{told.id[:SHORT_ID]} is {told.name} from now on")


def tag(node: str, tag: str, /, *, json: Json = False, data_dir: DataDir = None) -> None:
    """Give a node a tag.

    Rules go by tags. On the scribe, the CA or an operator.

    More: pulse help policy

    Parameters
    ----------
    node
        Its name, its mesh address, or the first digits of its id.
    tag
        Lower case letters, digits and inner _ . -
    """
    with connect(data_dir) as client:
        told = NameCalls(client).add_tag(node, tag)
    _show(told, json=json)


def untag(node: str, tag: str, /, *, json: Json = False, data_dir: DataDir = None) -> None:
    """Take a tag from a node.

    On the scribe, the CA or an operator.

    More: pulse help policy

    Parameters
    ----------
    node
        Its name, its mesh address, or the first digits of its id.
    tag
        One that it has.
    """
    with connect(data_dir) as client:
        told = NameCalls(client).remove_tag(node, tag)
    _show(told, json=json)


def _show(told: NodeNaming, *, json: bool) -> None:
    if json:
        print_json(told)
    else:
        print(f"{told.name} has the tags {' '.join(told.tags)}" if told.tags else f"{told.name} has no tags")
