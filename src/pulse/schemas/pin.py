"""What the control API says and hears of pins: paths that were chosen by hand.

Fields are append-only, as in `pulse.schemas.structs`.
"""

from pulse.schemas.structs import Body, NodeText, View


class PinInfo(View, frozen=True):
    """How a node is pinned; `via` is empty if it is not any more."""

    id: str
    name: str
    via: str
    via_id: str
    direct: bool
    """`via` is the node itself."""
    followed: bool
    problem: str
    """Why the pin is not followed at present; empty if it is."""


class PinRequest(Body, frozen=True):
    """A node to pin, and to what: a neighbour, or its own link. Nodes in any of their words."""

    node_id: NodeText
    via: NodeText = ""
    direct: bool = False


class UnpinRequest(Body, frozen=True):
    """A node whose pin is to be taken back."""

    node_id: NodeText
