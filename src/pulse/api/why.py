"""`/api/why`: why two nodes reach each other as they do."""

from starlette.requests import Request

from pulse import pathschemas
from pulse.api.control import Control
from pulse.api.endpoints import Endpoint
from pulse.core.trust.apikeys import Scope


async def why(control: Control, _: Request, body: pathschemas.WhyRequest) -> pathschemas.Why:
    """Ask both ends of a path for their accounts and join them into one verdict."""
    return await control.why.why(body)


ENDPOINTS = (Endpoint("POST", "/api/why", why, Scope.READ),)
