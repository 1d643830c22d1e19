"""What can be asked of a node about routes beyond the mesh; `pulse.client` is the connection."""

from dataclasses import dataclass

from pulse.client import SCRIBE_PATIENCE, Client
from pulse.schemas.routes import RouteChange, RouteRef, RouteRequest, RouteView


@dataclass(frozen=True, slots=True)
class RouteCalls:
    """The ranges that nodes lead to, as the node sees them."""

    client: Client

    def all(self) -> list[RouteView]:
        """Every range offered or approved."""
        return self.client.call("GET", "/api/routes", list[RouteView])

    def add(self, wanted: RouteRequest) -> RouteChange:
        """State and approve a route; the scribe has time to answer."""
        return self.client.call("POST", "/api/routes", RouteChange, wanted, patience=SCRIBE_PATIENCE)

    def approve(self, wanted: RouteRef) -> RouteChange:
        """Approve a range that a node offers."""
        return self.client.call("POST", "/api/routes/approve", RouteChange, wanted, patience=SCRIBE_PATIENCE)

    def remove(self, wanted: RouteRef) -> RouteChange:
        """Take a route away, and its approval with it."""
        return self.client.call("DELETE", "/api/routes", RouteChange, wanted, patience=SCRIBE_PATIENCE)
