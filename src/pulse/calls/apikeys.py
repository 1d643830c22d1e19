"""What can be asked of a node about keys to its HTTP API; `pulse.client` is the connection."""

from dataclasses import dataclass
from urllib.parse import quote

from pulse.client import Client
from pulse.schemas.apikeys import ApiKeyCreated, ApiKeyInfo, ApiKeyRequest


@dataclass(frozen=True, slots=True)
class ApiKeyCalls:
    """The keys of the node, which it tells on its control socket alone."""

    client: Client

    def create_api_key(self, request: ApiKeyRequest) -> ApiKeyCreated:
        """Make a key to the HTTP API."""
        return self.client.call("POST", "/api/keys", ApiKeyCreated, request)

    def list_api_keys(self) -> list[ApiKeyInfo]:
        """Every key to the HTTP API, oldest first."""
        return self.client.get("/api/keys", list[ApiKeyInfo])

    def revoke_api_key(self, named: str) -> ApiKeyInfo:
        """End the key of that name, or whose id begins so."""
        return self.client.call("DELETE", f"/api/keys/{quote(named or '-', safe='')}", ApiKeyInfo)
