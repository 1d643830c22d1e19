"""What can be asked of a node about where hosts are; `pulse.client` is the connection."""

from dataclasses import dataclass
from urllib.parse import urlencode

from pulse.client import Client
from pulse.schemas.whereabouts import Found


@dataclass(frozen=True, slots=True)
class WhereaboutsCalls:
    """Hosts of the mesh, as the node knows them."""

    client: Client

    def find(self, host: str) -> Found:
        """The node at which a host is."""
        return self.client.get(f"/api/whereabouts?{urlencode({'host': host})}", Found)
