"""`/api/acls/hits`: how many flows each rule decided on, at all nodes or at this one."""

from starlette.requests import Request

from pulse.api.control import Control
from pulse.api.endpoints import Endpoint
from pulse.core.trust.apikeys import Scope
from pulse.schemas.policy import Hits, HitsQuery


async def hits(control: Control, _: Request, query: HitsQuery) -> Hits:
    """Flows by rule: as the scribe sums them, or if `here` of this node alone."""
    return await control.hits.hits(query)


ENDPOINTS = (Endpoint("GET", "/api/acls/hits", hits, Scope.READ),)
