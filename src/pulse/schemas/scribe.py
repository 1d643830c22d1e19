"""What the control API says and hears of the mesh as the scribe sees it.

Fields are append-only, as in `pulse.schemas.structs`.
"""

from typing import Any

from pulse.schemas.node import Status
from pulse.schemas.stats import Traffic
from pulse.schemas.structs import View


class NodeMeta(View, frozen=True):
    """What the network config calls a node."""

    name: str
    tags: list[str]


class MeshState(Status, frozen=True, kw_only=True):
    """The status of this node and, beside it, what CA and scribe have said."""

    stats: dict[str, Traffic]
    """By node id: at the scribe of all nodes, over all their lives; elsewhere of this node since it started."""
    revoked_ids: list[str]
    node_meta: dict[str, NodeMeta]
    """By node id; of those that the network config names or tags."""
    acl_rules: list[dict[str, Any]]
    """As the network config has them."""
    scribe_id: str
    """Empty if nobody is the scribe."""
    network_id: str
    mesh_cidr: str
    """Empty before a network config came."""
