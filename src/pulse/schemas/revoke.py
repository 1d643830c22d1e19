"""What the control API says and hears of revocations.

Fields are append-only, as in `pulse.schemas.structs`.
"""

from pulse.schemas.structs import Body, NodeText, View


class RevokeRequest(Body, frozen=True):
    """A node to shut out for good."""

    node_id: NodeText
    force: bool = False
    """Even if it is the last CA or scribe."""


class Revoked(View, frozen=True):
    """A node nobody talks to any more."""

    id: str
    name: str
    by: str
    """Whose word it is: `ca` or `scribe`."""
