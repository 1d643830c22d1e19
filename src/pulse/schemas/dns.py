"""What the control API says and hears of zone records.

Fields are append-only; what is left out is as the field says.
"""

from typing import Annotated

import msgspec

from pulse.schemas.structs import Body, View

RecordText = Annotated[str, msgspec.Meta(max_length=255)]
RecordKind = Annotated[str, msgspec.Meta(max_length=16)]
RecordTtl = Annotated[int, msgspec.Meta(ge=1, le=604_800)]


class RecordView(View, frozen=True):
    """What a name under `.pulse` says."""

    name: str
    type: str
    value: str
    """An address; a whole name; a text; or for SRV `priority weight port name`."""
    ttl: int
    """Seconds for which an answer may be kept."""


class RecordRequest(Body, frozen=True):
    """A record to have beside the others."""

    name: RecordText
    """A word alone is one under `.pulse`."""
    type: RecordKind
    """A, AAAA, CNAME, TXT or SRV."""
    value: RecordText
    ttl: RecordTtl | None = None
    """Left out: as the other records of that name and type have it, else 60."""


class RecordRef(Body, frozen=True):
    """Records to take away: all of a name and type, or the one of that value."""

    name: RecordText
    type: RecordKind
    value: RecordText = ""


class ZoneChange(View, frozen=True, kw_only=True):
    """What an edit added or took away."""

    version: str
    """Of the network config with it."""
    records: list[RecordView]
    note: str = ""
    """What may not be meant; empty if nothing is odd."""
