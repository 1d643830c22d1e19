"""`/api/topology`: which links there are in the whole mesh."""

from starlette.requests import Request

from pulse.api.control import Control
from pulse.api.endpoints import Endpoint
from pulse.core.trust.apikeys import Scope
from pulse.schemas.topology import Topology


async def topology(control: Control, _: Request) -> Topology:
    """Every link that counts, of all nodes, as routing reckons with it."""
    return await control.topology.topology()


ENDPOINTS = (Endpoint("GET", "/api/topology", topology, Scope.READ),)
