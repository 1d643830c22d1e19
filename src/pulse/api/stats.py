"""`/api/stats`: traffic by node, or of one node by peer."""

from starlette.requests import Request

from pulse.api.control import Control
from pulse.api.endpoints import Endpoint
from pulse.core.trust.apikeys import Scope
from pulse.schemas.stats import Stats, StatsQuery


async def stats(control: Control, _: Request, query: StatsQuery) -> Stats:
    """Traffic of all nodes as the scribe sums it, or with `node` of that one by peer."""
    return await control.stats.stats(query)


ENDPOINTS = (Endpoint("GET", "/api/stats", stats, Scope.READ),)
