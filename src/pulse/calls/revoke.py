"""What can be asked of a node about shutting nodes out; `pulse.client` is the connection."""

from dataclasses import dataclass

from pulse.client import Client
from pulse.schemas.revoke import Revoked, RevokeRequest


@dataclass(frozen=True, slots=True)
class RevokeCalls:
    """Who is revoked, on the scribe, the CA or an operator."""

    client: Client

    def revoke(self, node: str, *, force: bool = False) -> Revoked:
        """Shut a node out for good, on the scribe, the CA or an operator; `force` for the last CA or scribe."""
        return self.client.call("POST", "/api/revoke", Revoked, RevokeRequest(node, force))
