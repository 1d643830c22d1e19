"""`/api/revoke`: shut a node out, on the scribe, the CA or an operator."""

from starlette.requests import Request

from pulse import schemas
from pulse.api.control import Control
from pulse.api.endpoints import Endpoint
from pulse.core.trust.apikeys import Scope


async def revoke(control: Control, _: Request, body: schemas.RevokeRequest) -> schemas.Revoked:
    """Revoke a node: nobody talks to it any more, and its key gets no certificate."""
    return await control.revoke.revoke(body)


ENDPOINTS = (Endpoint("POST", "/api/revoke", revoke, Scope.WRITE),)
