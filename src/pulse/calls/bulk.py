"""What can be asked of a node about many nodes at once; `pulse.client` is the connection."""

from dataclasses import dataclass

from pulse.client import Client
from pulse.schemas.bulk import BulkDone, BulkRequest


@dataclass(frozen=True, slots=True)
class BulkCalls:
    """Edits of all nodes that a pattern fits."""

    client: Client

    def bulk(self, request: BulkRequest) -> BulkDone:
        """Change many nodes."""
        return self.client.call("POST", "/api/bulk", BulkDone, request, patience=60.0)
