"""What the control API says and hears of names and tags of nodes.

Fields are append-only, as in `pulse.schemas.structs`.
"""

from pulse.schemas.structs import Body, NodeText, View


class NameRequest(Body, frozen=True):
    """A name for a node, which may be given by name, mesh address or the first digits of its id."""

    node_id: NodeText
    name: NodeText


class TagRequest(Body, frozen=True):
    """A tag for a node, or one to take from it."""

    node_id: NodeText
    tag: NodeText


class NodeNaming(View, frozen=True):
    """What the network config calls a node from now on."""

    id: str
    name: str
    tags: list[str]
    version: str
    """Of the network config: scribe epoch and generation, with a dot between."""
