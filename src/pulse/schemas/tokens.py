"""What the control API says and hears of tokens and invites: what lets a machine join.

Fields are append-only, as in `pulse.schemas.structs`.
"""

from typing import Annotated

import msgspec

from pulse.schemas.structs import Body, Count, NodeText, View


class TokenRequest(Body, frozen=True):
    """A token to make; `ttl` in seconds, none for ever; `max_uses` 0 for no limit.

    Uses that are not said are what the template says; else one, for an invite and a token with a name, or no limit.
    """

    ttl: float | None = None
    max_uses: Count | msgspec.UnsetType = msgspec.UNSET
    tags: Annotated[list[str], msgspec.Meta(max_length=32)] = []
    name: str | None = None
    template: NodeText | None = None
    """A template, which fills in what is not said; its tags come on top."""

    def uses(self, otherwise: int) -> int:
        """Those that are said, 0 for no limit."""
        return otherwise if self.max_uses is msgspec.UNSET else self.max_uses


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


Span = Annotated[str, msgspec.Meta(pattern=r"^[1-9][0-9]{0,8}[smhdw]([0-9]{1,9}[smhdw]){0,4}$")]


class TokenTerms(Body, frozen=True):
    """A token to make, as `TokenRequest`, but `ttl` may be written as people do: `4h`, `1h30m`."""

    ttl: float | Span | None = None
    max_uses: Count | msgspec.UnsetType = msgspec.UNSET
    tags: Annotated[list[str], msgspec.Meta(max_length=32)] = []
    name: str | None = None
    template: NodeText | None = None


class TokenRef(Body, frozen=True):
    """A token, by the first digits of its id."""

    id: Annotated[str, msgspec.Meta(min_length=1, max_length=64)]
