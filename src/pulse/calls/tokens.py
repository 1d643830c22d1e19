"""What can be asked of a node about tokens and invites; `pulse.client` is the connection."""

from dataclasses import dataclass
from urllib.parse import quote

from pulse.client import Client
from pulse.errors import NotFound
from pulse.schemas.tokens import Invite, MasterToken, TokenCreated, TokenInfo, TokenRequest


@dataclass(frozen=True, slots=True)
class TokenCalls:
    """What lets a machine join, as the CA has it."""

    client: Client

    def create_token(self, request: TokenRequest) -> TokenCreated:
        """Make a token."""
        return self.client.call("POST", "/api/tokens", TokenCreated, request)

    def list_tokens(self) -> list[TokenInfo]:
        """Every token of the CA, oldest first."""
        return self.client.get("/api/tokens", list[TokenInfo])

    def revoke_token(self, prefix: str) -> TokenInfo:
        """End the token whose id begins with `prefix`."""
        if not prefix.isalnum():
            raise NotFound(
                f'"{prefix}" begins no token\'s id: those are digits and letters a to f.\nSee them: pulse token list'
            )
        return self.client.call("DELETE", f"/api/tokens/{quote(prefix)}", TokenInfo)

    def master_token(self) -> MasterToken:
        """The token the CA always accepts."""
        return self.client.get("/api/tokens/master", MasterToken)

    def invite(self, request: TokenRequest) -> Invite:
        """Make an invite."""
        return self.client.call("POST", "/api/invite", Invite, request)
