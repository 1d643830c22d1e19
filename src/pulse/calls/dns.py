"""What can be asked of a node about zone records; `pulse.client` is the connection."""

from dataclasses import dataclass

from pulse.client import SCRIBE_PATIENCE, Client
from pulse.schemas.dns import RecordRef, RecordRequest, RecordView, ZoneChange


@dataclass(frozen=True, slots=True)
class DnsCalls:
    """The zone records of the network, as the node has them."""

    client: Client

    def records(self) -> list[RecordView]:
        """All of them, by name."""
        return self.client.call("GET", "/api/dns", list[RecordView])

    def add(self, wanted: RecordRequest) -> ZoneChange:
        """Have a record; the scribe has time to answer."""
        return self.client.call("POST", "/api/dns", ZoneChange, wanted, patience=SCRIBE_PATIENCE)

    def remove(self, wanted: RecordRef) -> ZoneChange:
        """Take records away."""
        return self.client.call("DELETE", "/api/dns", ZoneChange, wanted, patience=SCRIBE_PATIENCE)
