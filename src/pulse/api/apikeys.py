"""`/api/keys`: who may use this API over TCP; for the control socket alone, so that no key makes another.

`/api/key` says to who shows one what it is good for.
"""

from starlette.requests import Request

from pulse.api.control import Control
from pulse.api.endpoints import GRANTED, LOCAL, Endpoint
from pulse.core.trust.apikeys import Scope
from pulse.schemas.apikeys import ApiKeyCreated, ApiKeyInfo, ApiKeyInUse, ApiKeyRequest


async def list_api_keys(control: Control, _: Request) -> list[ApiKeyInfo]:
    """Every key, oldest first."""
    return await control.apikeys.all()


async def create_api_key(control: Control, _: Request, body: ApiKeyRequest) -> ApiKeyCreated:
    """Make a key; it is shown this once."""
    return await control.apikeys.create(body)


async def revoke_api_key(control: Control, request: Request) -> ApiKeyInfo:
    """End the key of that name, or whose id begins so."""
    return await control.apikeys.revoke(request.path_params["key"])


async def key_in_use(_: Control, request: Request) -> ApiKeyInUse:
    """What the key of this request is good for."""
    granted = request.scope.get(GRANTED)
    return ApiKeyInUse("all" if granted is None else "write" if granted is Scope.WRITE else "read")


ENDPOINTS = (
    Endpoint("GET", "/api/key", key_in_use, Scope.READ),
    Endpoint("GET", "/api/keys", list_api_keys, LOCAL),
    Endpoint("POST", "/api/keys", create_api_key, LOCAL, status=201),
    Endpoint("DELETE", "/api/keys/{key}", revoke_api_key, LOCAL),
)
