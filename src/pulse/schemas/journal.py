"""What the control API says and hears of the journal of what a CA issued.

Fields are append-only, as in `pulse.schemas.structs`.
"""

from typing import Annotated

import msgspec

from pulse.schemas.structs import Body, View


class JournalEntry(View, frozen=True):
    """One entry of the CA's journal."""

    seq: int
    time: float
    event: str
    fields: dict[str, str | int | float | None]


class JournalQuery(Body, frozen=True):
    """Which entries of the journal: at most `limit` after number `after`, oldest first."""

    after: Annotated[int, msgspec.Meta(ge=0)] = 0
    limit: Annotated[int, msgspec.Meta(ge=1, le=1000)] = 100


class JournalCheck(View, frozen=True):
    """What walking the journal's hash chain found; `broken` is the first bad entry."""

    entries: int
    broken: int | None
    reason: str
    time: float | None = None
    """When the last good entry before it was written; None if it is the first."""
