"""What the control API says and hears of events: of what happened, and of how the mesh looked at a time.

Fields are append-only; times are seconds since 1970; ids are 64 hex digits.
"""

from typing import Annotated

import msgspec

from pulse.core.types import LinkType
from pulse.schemas.structs import Body, NodeText, View

Limit = Annotated[int, msgspec.Meta(ge=1, le=1000)]


class EventsQuery(Body, frozen=True):
    """Which events: the newest that fit, or, if `after` is given, the first ones after that number."""

    type: Annotated[str, msgspec.Meta(max_length=255)] = ""
    """Types with commas between; all if left out."""
    node: NodeText = ""
    """A name, the first digits of an id, or a pattern such as `cam-*`."""
    since: float | None = None
    after: Annotated[int, msgspec.Meta(ge=0)] | None = None
    limit: Limit = 100


class EventInfo(View, frozen=True):
    """Something that happened, as this node saw it."""

    seq: int
    time: float
    type: str
    node: str
    """Id of whom it happened to; empty if to nobody in particular."""
    name: str
    """What that node was called then."""
    fields: dict[str, str | int | float | None]
    """What else there is to say; nodes in it by name."""


class Events(View, frozen=True):
    """Events, oldest first, and how the journal fares."""

    events: list[EventInfo]
    problem: str
    """Why nothing can be written now; empty if all is well."""
    lost: int
    """Events of this run for which there was no room."""


class MomentQuery(Body, frozen=True):
    """A time to look back to."""

    time: float


class PastPeer(View, frozen=True):
    """A node as it was."""

    id: str
    name: str
    v4: str
    link: str
    """Type of the first link, `-` if no path led there."""
    via: str
    """Name of the first relay; empty for a direct path."""
    since: float | None
    """When it became so; None if the journal does not reach back so far."""
    roles: list[str]

    @property
    def reached(self) -> bool:
        """There was a path to it."""
        return self.link != LinkType.NONE


class Moment(View, frozen=True):
    """The mesh as this node saw it at a time."""

    time: float
    name: str
    """Of this node."""
    state: str
    """`running`; `stopped` if this node was not there to see; `unknown` if it ended in that time without a word."""
    last: float
    """When it wrote its last word before that time."""
    following: float | None
    """When it wrote the next one; None if there is none."""
    config: str
    """Number of the network config in force."""
    peers: list[PastPeer]
    revoked: list[str]
    """Names of those who were out."""
