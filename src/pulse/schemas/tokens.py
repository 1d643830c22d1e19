"""What the control API says and hears of tokens and invites: what lets a machine join.

Fields are append-only, as in `pulse.schemas.structs`.
"""

from typing import Annotated

import msgspec

from pulse.schemas.structs import Body, Count, NodeText, View


class TokenRequest(Body, frozen=True):
    """A token to make; `ttl` in seconds, none for ever; `max_uses` 0 for no limit."""

    ttl: float | None = None
    max_uses: Count = 0
    tags: Annotated[list[str], msgspec.Meta(max_length=32)] = []
    name: str | None = None
    template: NodeText | None = None
    """A template, which fills in what is not said; its tags come on top."""


class TokenInfo(View, frozen=True):
    """A token as the CA knows it: everything but its secret."""

    id: str
    created: float
    expires: float | None
    max_uses: int
    uses: int
    tags: list[str]
    name: str | None
    master: bool
    state: str
    """`good`, `expired`, `used_up` or `revoked`."""
    used_by: list[str] = []
    """Names of the nodes that joined with it, the latest 64."""


class TokenCreated(View, frozen=True):
    """A new token; the text is shown this once."""

    token: str
    info: TokenInfo


class MasterToken(View, frozen=True):
    """The token this CA accepts for any machine, any time."""

    token: str


class Invite(View, frozen=True):
    """A line to paste on the next machine."""

    invite: str
    addresses: list[str]
    info: TokenInfo
