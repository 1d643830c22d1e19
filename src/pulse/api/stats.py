"""`/api/stats`: traffic by node, or of one node by peer."""

from starlette.requests import Request

from pulse import statsschemas
from pulse.api.control import Control
from pulse.api.endpoints import Endpoint
from pulse.core.trust.apikeys import Scope


async def stats(control: Control, _: Request, query: statsschemas.StatsQuery) -> statsschemas.Stats:
    """Traffic of all nodes as the scribe sums it, or with `node` of that one by peer."""
    return await control.stats.stats(query)


ENDPOINTS = (Endpoint("GET", "/api/stats", stats, Scope.READ),)
