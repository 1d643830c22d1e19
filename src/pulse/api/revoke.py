"""`/api/revoke`: shut a node out, on the scribe, the CA or an operator."""

from starlette.requests import Request

from pulse.api.control import Control
from pulse.api.endpoints import GRANTED, Endpoint
from pulse.core.trust.apikeys import Scope
from pulse.errors import Refused
from pulse.schemas.revoke import Revoked, RevokeRequest


async def revoke(control: Control, request: Request, body: RevokeRequest) -> Revoked:
    """Revoke a node: nobody talks to it any more, and its key gets no certificate.

    What cannot be undone for the whole network takes somebody at the CA, not a key.
    """
    if body.force and GRANTED in request.scope:
        raise Refused("no key is good for force, by which the last CA or scribe goes.\nOn the CA: pulse revoke --force")
    return await control.revoke.revoke(body)


ENDPOINTS = (Endpoint("POST", "/api/revoke", revoke, Scope.WRITE),)
