"""What the control API says and hears of routes: ranges beyond the mesh, and the nodes that lead there.

Fields are append-only.
"""

from typing import Annotated, Literal

import msgspec

from pulse.schemas.structs import Body, NodeText, View

Cidr = Annotated[str, msgspec.Meta(max_length=64)]

RouteState = Literal["offered", "approved", "ready", "in use", "failed", "here"]
"""`offered`: not approved; `approved`: but not offered; `ready`: both, another is in use; `in use`: by the node that
was asked; `failed`: both, but it gives no answer or says it cannot; `here`: the node asked is the exit."""


class RouteRequest(Body, frozen=True):
    """A route to state and to approve."""

    node_id: NodeText
    cidr: Cidr
    """The range as it is behind the node."""
    mapped: Cidr = ""
    """The range that the mesh is to know it by, one to one; the same if left out."""


class RouteRef(Body, frozen=True):
    """A route, by the range as the mesh knows it; the node may be left out where one alone leads there."""

    cidr: Cidr
    node_id: NodeText = ""


class RouteView(View, frozen=True):
    """One range by one node."""

    id: str
    name: str
    cidr: str
    """As the mesh knows it."""
    behind: str
    """As it is behind the node, if that is another range; else empty."""
    offered: bool
    approved: bool
    by: str
    """Who approved it: `scribe`, or the tag (`tag:x`); empty if nobody did."""
    state: RouteState
    through: str
    """The exit that the node asked uses for this range; empty if it uses none."""
    why: str = ""
    """Why it failed; empty if it did not."""

    @property
    def told(self) -> str:
        """Its state in words."""
        return f"{self.state}: {self.why}" if self.why else self.state


class RouteChange(View, frozen=True):
    """A route that was changed, and the network config with it."""

    id: str
    name: str
    cidr: str
    version: str
