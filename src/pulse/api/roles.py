"""`/api/roles`: who is scribe and who operates; given on the CA."""

from starlette.requests import Request

from pulse.api.control import Control
from pulse.api.endpoints import LOCAL, Endpoint
from pulse.core.trust.apikeys import Scope
from pulse.schemas.roles import RoleRequest, RolesInfo


async def roles(control: Control, _: Request) -> RolesInfo:
    """Who has which role."""
    return await control.roles.roles()


async def grant(control: Control, _: Request, body: RoleRequest) -> RolesInfo:
    """Give a node a role; a new scribe takes the place of the old one."""
    return await control.roles.grant(body)


async def ungrant(control: Control, _: Request, body: RoleRequest) -> RolesInfo:
    """Take the role of operator from a node."""
    return await control.roles.ungrant(body)


ENDPOINTS = (
    Endpoint("GET", "/api/roles", roles, Scope.READ),
    Endpoint("POST", "/api/roles", grant, LOCAL),
    Endpoint("DELETE", "/api/roles", ungrant, LOCAL),
)
