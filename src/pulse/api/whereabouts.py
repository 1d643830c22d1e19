"""`/api/whereabouts`: at which node a host is."""

from starlette.requests import Request

from pulse.api.control import Control
from pulse.api.endpoints import Endpoint
from pulse.core.trust.apikeys import Scope
from pulse.schemas.whereabouts import Found, HostQuery


async def find(control: Control, _: Request, query: HostQuery) -> Found:
    """At which node of the mesh a host is, by a name under .pulse, an id or a mesh address."""
    return await control.whereabouts.find(query)


ENDPOINTS = (Endpoint("GET", "/api/whereabouts", find, Scope.READ),)
