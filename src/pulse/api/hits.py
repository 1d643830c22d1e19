"""`/api/acls/hits`: how many flows each rule decided on, at all nodes or at this one."""

from starlette.requests import Request

from pulse import policyschemas
from pulse.api.control import Control
from pulse.api.endpoints import Endpoint
from pulse.core.trust.apikeys import Scope


async def hits(control: Control, _: Request, query: policyschemas.HitsQuery) -> policyschemas.Hits:
    """Flows by rule: as the scribe sums them, or if `here` of this node alone."""
    return await control.hits.hits(query)


ENDPOINTS = (Endpoint("GET", "/api/acls/hits", hits, Scope.READ),)
