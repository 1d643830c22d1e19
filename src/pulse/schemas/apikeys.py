"""What the control API says and hears of API keys.

Fields are append-only, as in `pulse.schemas.structs`.
"""

from typing import Literal

from pulse.schemas.structs import Body, NodeText, View

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


class ApiKeyInUse(View, frozen=True):
    """What the key is good for with which this was asked; `all` on the control socket, which takes none."""

    scope: Literal["read", "write", "all"]


class ApiKeyCreated(View, frozen=True):
    """A new key; it is shown this once."""

    key: str
    info: ApiKeyInfo
