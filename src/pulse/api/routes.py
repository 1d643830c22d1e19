"""`/api/routes`: ranges beyond the mesh, seen on every node and approved by scribe and operators."""

from starlette.requests import Request

from pulse.api.control import Control
from pulse.api.endpoints import Endpoint
from pulse.core.trust.apikeys import Scope
from pulse.schemas.routes import RouteChange, RouteRef, RouteRequest, RouteView


async def routes(control: Control, _: Request) -> list[RouteView]:
    """Every range that a node offers or the network config approves, and which exit is in use here."""
    return await control.routes.all()


async def add(control: Control, _: Request, body: RouteRequest) -> RouteChange:
    """State and approve a route."""
    return await control.routes.add(body)


async def approve(control: Control, _: Request, body: RouteRef) -> RouteChange:
    """Approve a range that a node offers: from then on the others use it."""
    return await control.routes.approve(body)


async def remove(control: Control, _: Request, body: RouteRef) -> RouteChange:
    """Take a route away: nobody uses the range through that node any more."""
    return await control.routes.remove(body)


ENDPOINTS = (
    Endpoint("GET", "/api/routes", routes, Scope.READ),
    Endpoint("POST", "/api/routes", add, Scope.WRITE),
    Endpoint("POST", "/api/routes/approve", approve, Scope.WRITE),
    Endpoint("DELETE", "/api/routes", remove, Scope.WRITE),
)
