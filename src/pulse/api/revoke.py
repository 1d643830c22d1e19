"""`/api/revoke`: shut a node out, on the scribe, the CA or an operator."""

from starlette.requests import Request

from pulse.api.control import Control
from pulse.api.endpoints import Endpoint
from pulse.core.trust.apikeys import Scope
from pulse.schemas.revoke import Revoked, RevokeRequest


async def revoke(control: Control, _: Request, body: RevokeRequest) -> Revoked:
    """Revoke a node: nobody talks to it any more, and its key gets no certificate."""
    return await control.revoke.revoke(body)


ENDPOINTS = (Endpoint("POST", "/api/revoke", revoke, Scope.WRITE),)
