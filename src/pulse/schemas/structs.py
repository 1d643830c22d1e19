"""What the control API says and hears: what all of it is made of. One file a feature has the rest.

Fields are append-only; times are seconds since 1970, durations seconds; ids are 64 hex digits.
"""

from typing import Annotated

import msgspec

Count = Annotated[int, msgspec.Meta(ge=0, le=1_000_000)]


NodeText = Annotated[str, msgspec.Meta(max_length=255)]


class Body(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Base of what is heard: unknown fields are errors."""


class View(msgspec.Struct, frozen=True):
    """Base of what is said: a later release may say more."""


class Problem(View, frozen=True):
    """An error (RFC 9457); `error` is the name of its class in `pulse.errors`."""

    title: str
    status: int
    detail: str
    error: str = "PulseError"
    type: str = "about:blank"
