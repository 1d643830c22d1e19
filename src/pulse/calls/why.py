"""What can be asked of a node about why a node is reached as it is; `pulse.client` is the connection."""

from dataclasses import dataclass

from pulse.client import Client
from pulse.schemas.paths import Why, WhyRequest


@dataclass(frozen=True, slots=True)
class WhyCalls:
    """The reasons for the path in use."""

    client: Client

    def why(self, node: str, source: str = "", timeout: float = 5.0) -> Why:
        """Why a node is reached as it is, from here or from `source`; each end has `timeout` seconds (at most 10)."""
        request = WhyRequest(node, source, timeout)
        return self.client.call("POST", "/api/why", Why, request, patience=timeout)
