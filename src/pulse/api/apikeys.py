"""`/api/keys`: who may use this API over TCP; for the control socket alone, so that no key makes another."""

from starlette.requests import Request

from pulse.api.control import Control
from pulse.api.endpoints import LOCAL, Endpoint
from pulse.schemas.apikeys import ApiKeyCreated, ApiKeyInfo, ApiKeyRequest


async def list_api_keys(control: Control, _: Request) -> list[ApiKeyInfo]:
    """Every key, oldest first."""
    return await control.keys.all()


async def create_api_key(control: Control, _: Request, body: ApiKeyRequest) -> ApiKeyCreated:
    """Make a key; it is shown this once."""
    return await control.keys.create(body)


async def revoke_api_key(control: Control, request: Request) -> ApiKeyInfo:
    """End the key of that name, or whose id begins so."""
    return await control.keys.revoke(request.path_params["key"])


ENDPOINTS = (
    Endpoint("GET", "/api/keys", list_api_keys, LOCAL),
    Endpoint("POST", "/api/keys", create_api_key, LOCAL, status=201),
    Endpoint("DELETE", "/api/keys/{key}", revoke_api_key, LOCAL),
)
