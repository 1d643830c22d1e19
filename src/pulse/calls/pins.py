"""What can be asked of a node about pins; `pulse.client` is the connection."""

from dataclasses import dataclass

from pulse.client import Client
from pulse.schemas.pin import PinInfo, PinRequest, UnpinRequest


@dataclass(frozen=True, slots=True)
class PinCalls:
    """The neighbours by which nodes are reached, whatever the scores say."""

    client: Client

    def pin(self, node: str, via: str = "", *, direct: bool = False) -> PinInfo:
        """Reach a node by the neighbour `via`, or by its own link."""
        return self.client.call("PUT", "/api/pins", PinInfo, PinRequest(node, via, direct))

    def unpin(self, node: str) -> PinInfo:
        """Reach a node by the best path again."""
        return self.client.call("DELETE", "/api/pins", PinInfo, UnpinRequest(node))
