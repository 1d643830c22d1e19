"""What the HTTP API of the scribe says and hears beyond `pulse.schemas`: its keys, and the whole network config.

Fields are append-only, as in `pulse.schemas`, which has all that the node says of itself.
"""

from typing import Annotated, Any, Literal

import msgspec

from pulse.schemas import Body, Count, NodeText, Status, View

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
    """What a node exchanged with all others over the mesh, since it started."""

    bytes_in: int
    bytes_out: int


class NodeMeta(View, frozen=True):
    """What the network config calls a node."""

    name: str
    tags: list[str]


class MeshState(Status, frozen=True, kw_only=True):
    """The status of this node and, beside it, what CA and scribe have said."""

    stats: dict[str, Traffic]
    """By node id; of this node, for others' figures are not reported."""
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
    tags: Annotated[list[str], msgspec.Meta(max_length=32)] = msgspec.field(default_factory=list)
    name: str | None = None


class TokenRef(Body, frozen=True):
    """A token, by the first digits of its id."""

    id: Annotated[str, msgspec.Meta(min_length=1, max_length=64)]
