"""What can be asked of a node about what happened; `pulse.client` is the connection."""

from collections.abc import Iterator
from dataclasses import dataclass
from urllib.parse import urlencode

import msgspec

from pulse.client import Client
from pulse.errors import LinkError
from pulse.schemas.events import EventInfo, Events, EventsQuery, Moment
from pulse.schemas.journal import JournalCheck


@dataclass(frozen=True, slots=True)
class EventCalls:
    """The journal of the node."""

    client: Client

    def events(self, wanted: EventsQuery) -> Events:
        """Entries of the node's journal: the newest that fit, or those after a number; oldest first."""
        given = {name: value for name, value in msgspec.structs.asdict(wanted).items() if value not in ("", None)}
        return self.client.get(f"/api/events?{urlencode(given)}", Events)

    def follow_events(self, pause: float) -> Iterator[EventInfo | None]:
        """Events as they happen, and None after every `pause` seconds without one; this connection is for nothing else.

        Raises LinkError if the node hangs up.
        """
        try:
            for data in self.client.follow("/api/events", pause):
                yield msgspec.json.decode(data, type=EventInfo) if data else None
        except msgspec.DecodeError as error:
            raise LinkError(f"the node at {self.client.path} speaks another version of pulse: restart it") from error

    def events_verify(self) -> JournalCheck:
        """Check the node's journal from its oldest entry."""
        return self.client.get("/api/events/verify", JournalCheck)

    def events_at(self, time: float) -> Moment:
        """The mesh as the node saw it at `time`, seconds since 1970."""
        return self.client.get(f"/api/events/at?{urlencode({'time': time})}", Moment)
