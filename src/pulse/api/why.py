"""`/api/why`: why two nodes reach each other as they do."""

from starlette.requests import Request

from pulse.api.control import Control
from pulse.api.endpoints import Endpoint
from pulse.core.trust.apikeys import Scope
from pulse.schemas.paths import Why, WhyRequest


async def why(control: Control, _: Request, body: WhyRequest) -> Why:
    """Ask both ends of a path for their accounts and join them into one verdict."""
    return await control.why.why(body)


ENDPOINTS = (Endpoint("POST", "/api/why", why, Scope.READ),)
