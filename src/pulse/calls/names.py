"""What can be asked of a node about names and tags of nodes; `pulse.client` is the connection."""

from dataclasses import dataclass

from pulse.client import SCRIBE_PATIENCE, Client
from pulse.schemas.names import NameRequest, NodeNaming, TagRequest
from pulse.schemas.structs import Body


@dataclass(frozen=True, slots=True)
class NameCalls:
    """What the network config calls the nodes."""

    client: Client

    def set_name(self, node: str, name: str) -> NodeNaming:
        """Name a node, on the scribe, the CA or an operator."""
        return self._renamed("PUT", "/api/name", NameRequest(node, name))

    def add_tag(self, node: str, tag: str) -> NodeNaming:
        """Give a node a tag, on the scribe, the CA or an operator."""
        return self._renamed("POST", "/api/tags", TagRequest(node, tag))

    def remove_tag(self, node: str, tag: str) -> NodeNaming:
        """Take a tag from a node, on the scribe, the CA or an operator."""
        return self._renamed("DELETE", "/api/tags", TagRequest(node, tag))

    def _renamed(self, method: str, path: str, body: Body) -> NodeNaming:
        return self.client.call(method, path, NodeNaming, body, patience=SCRIBE_PATIENCE)
