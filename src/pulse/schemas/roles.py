"""What the control API says and hears of roles: who may write for the network.

Fields are append-only, as in `pulse.schemas.structs`.
"""

from typing import Annotated, Literal

import msgspec

from pulse.schemas.revoke import Revoked
from pulse.schemas.structs import Body, NodeText, View

GivenRole = Literal["scribe", "operator"]
"""What the CA can make of a node: the values of `core.trust.roles.Role`."""


class RoleRequest(Body, frozen=True):
    """A role for a node, or one to take from it."""

    node_id: NodeText
    role: GivenRole
    force: bool = False
    """Even if the CA may not know the last words of the scribe that is replaced."""
    reinstate: Annotated[list[NodeText], msgspec.Meta(max_length=1_000)] = []
    """Nodes, by the first digits of their ids, whose revocation by the scribe that is replaced shall count no more."""
    keep_revoked: bool = False
    """All of them stay out."""


class NodeRole(View, frozen=True):
    """A node with a role: `ca`, `scribe` or `operator`."""

    id: str
    name: str
    role: str
    problem: str
    """Why it cannot use it; empty if it can."""


class RolesInfo(View, frozen=True):
    """Who has which role."""

    epoch: int
    """Rises with each change."""
    scribe_epoch: int
    """Rises with each new scribe."""
    roles: list[NodeRole]
    revoked_by_scribe: list[Revoked] = []
    """Nodes that the scribe in force revoked, which the CA has not made its own word yet."""
