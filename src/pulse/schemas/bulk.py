"""What the control API says and hears of one change for many nodes.

Fields are append-only, as in `pulse.schemas.structs`.
"""

from typing import Literal

from pulse.schemas.structs import Body, NodeText, View

BulkAction = Literal["tag", "untag", "revoke"]


class BulkRequest(Body, frozen=True):
    """One change for all nodes that a pattern of rules fits: `tag` and `untag` with a tag, or `revoke`."""

    pattern: NodeText
    action: BulkAction
    tag: NodeText = ""
    dry_run: bool = False


class BulkNode(View, frozen=True):
    """One of them."""

    id: str
    name: str
    tags: list[str]


class BulkDone(View, frozen=True):
    """To whom it was done; `done` is false for a dry run."""

    nodes: list[BulkNode]
    done: bool
    problems: dict[str, str] = {}
    """Why it was not done to a node that the pattern fits, by the node's id."""
