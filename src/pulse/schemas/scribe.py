"""What the HTTP API of the scribe says and hears beyond `pulse.schemas.node`: its keys, the state of the
mesh, and changes for many nodes at once.

Fields are append-only, as in `pulse.schemas.structs`, all of which `pulse.schemas` keeps.
"""

from typing import Annotated, Any, Literal

import msgspec

from pulse.schemas.node import Status
from pulse.schemas.structs import Body, Count, NodeText, View

KeyScope = Literal["read", "write"]


class ApiKeyRequest(Body, frozen=True):
    """A key to make."""

    name: NodeText
    scope: KeyScope = "read"


class ApiKeyInfo(View, frozen=True):
    """A key as the node knows it: everything but the key."""

    id: str
    name: str
    scope: KeyScope
    created: float


class ApiKeyCreated(View, frozen=True):
    """A new key; it is shown this once."""

    key: str
    info: ApiKeyInfo


class Traffic(View, frozen=True):
    """What a node exchanged with all others over the mesh."""

    bytes_in: int
    bytes_out: int
    active_conns: int = 0
    """Connections of SOCKS, forwards and tunnels that are open now."""
    conns: int = 0
    """All that were opened."""


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


Span = Annotated[str, msgspec.Meta(pattern=r"^[1-9][0-9]{0,8}[smhdw]([0-9]{1,9}[smhdw]){0,4}$")]


class TokenTerms(Body, frozen=True):
    """A token to make, as `TokenRequest`, but `ttl` may be written as people do: `4h`, `1h30m`."""

    ttl: float | Span | None = None
    max_uses: Count = 0
    tags: Annotated[list[str], msgspec.Meta(max_length=32)] = []
    name: str | None = None
    template: NodeText | None = None


class TokenRef(Body, frozen=True):
    """A token, by the first digits of its id."""

    id: Annotated[str, msgspec.Meta(min_length=1, max_length=64)]


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
