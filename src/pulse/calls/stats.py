"""What can be asked of a node about traffic; `pulse.client` is the connection."""

from dataclasses import dataclass
from urllib.parse import urlencode

from pulse.client import SCRIBE_PATIENCE, Client
from pulse.schemas.stats import Stats


@dataclass(frozen=True, slots=True)
class StatsCalls:
    """The traffic of nodes, as one node counted it or asks for it."""

    client: Client

    def stats(self, node: str = "") -> Stats:
        """Traffic by node, or of one node by peer."""
        return self.client.call("GET", f"/api/stats?{urlencode({'node': node})}", Stats, patience=SCRIBE_PATIENCE)
