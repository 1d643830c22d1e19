"""`/api/tokens` and `/api/invite`: join tokens, on the CA, the scribe or an operator."""

from starlette.requests import Request

from pulse.api.control import Control
from pulse.api.endpoints import LOCAL, Endpoint
from pulse.core.durations import parse_duration
from pulse.core.trust.apikeys import Scope
from pulse.schemas.tokens import Invite, MasterToken, TokenCreated, TokenInfo, TokenRef, TokenRequest, TokenTerms


async def list_tokens(control: Control, _: Request) -> list[TokenInfo]:
    """Every token, oldest first."""
    return await control.tokens.all()


async def create_token(control: Control, _: Request, body: TokenTerms) -> TokenCreated:
    """Make a token; its text is shown this once."""
    return await control.tokens.create(_terms(body))


async def master_token(control: Control, _: Request) -> MasterToken:
    """The token this CA always accepts."""
    return await control.tokens.master()


async def revoke_token(control: Control, request: Request) -> TokenInfo:
    """End the token whose id begins with the prefix."""
    return await control.tokens.revoke(request.path_params["prefix"])


async def end_token(control: Control, _: Request, body: TokenRef) -> TokenInfo:
    """End the token whose id begins so."""
    return await control.tokens.revoke(body.id)


async def invite(control: Control, _: Request, body: TokenTerms) -> Invite:
    """Make a line to paste on the next machine."""
    return await control.tokens.invite(_terms(body))


def _terms(typed: TokenTerms) -> TokenRequest:
    """With the time in seconds. Raises ConfigError."""
    ttl = parse_duration(typed.ttl) if isinstance(typed.ttl, str) else typed.ttl
    return TokenRequest(ttl, typed.max_uses, typed.tags, typed.name, typed.template)


ENDPOINTS = (
    Endpoint("GET", "/api/tokens", list_tokens, Scope.READ),
    Endpoint("POST", "/api/tokens", create_token, Scope.WRITE, status=201),
    Endpoint("GET", "/api/tokens/master", master_token, LOCAL),
    Endpoint("DELETE", "/api/tokens", end_token, Scope.WRITE),
    Endpoint("DELETE", "/api/tokens/{prefix}", revoke_token, Scope.WRITE),
    Endpoint("POST", "/api/invite", invite, Scope.WRITE, status=201),
)
