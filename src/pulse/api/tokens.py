"""`/api/tokens` and `/api/invite`: join tokens, on the CA."""

from starlette.requests import Request

from pulse import schemas
from pulse.api.control import Control
from pulse.api.routes import Endpoint


async def list_tokens(control: Control, _: Request) -> list[schemas.TokenInfo]:
    """Every token, oldest first."""
    return await control.list_tokens()


async def create_token(control: Control, _: Request, body: schemas.TokenRequest) -> schemas.TokenCreated:
    """Make a token; its text is shown this once."""
    return await control.create_token(body)


async def master_token(control: Control, _: Request) -> schemas.MasterToken:
    """The token this CA always accepts."""
    return await control.master_token()


async def revoke_token(control: Control, request: Request) -> schemas.TokenInfo:
    """End the token whose id begins with the prefix."""
    return await control.revoke_token(request.path_params["prefix"])


async def invite(control: Control, _: Request, body: schemas.TokenRequest) -> schemas.Invite:
    """Make a line to paste on the next machine."""
    return await control.invite(body)


ENDPOINTS = (
    Endpoint("GET", "/api/tokens", list_tokens),
    Endpoint("POST", "/api/tokens", create_token, status=201),
    Endpoint("GET", "/api/tokens/master", master_token),
    Endpoint("DELETE", "/api/tokens/{prefix}", revoke_token),
    Endpoint("POST", "/api/invite", invite, status=201),
)
