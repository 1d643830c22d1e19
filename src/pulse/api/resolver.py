"""`/api/resolver`: whether this machine's resolver asks the node for names under .pulse."""

from starlette.requests import Request

from pulse.api.control import Control
from pulse.api.endpoints import LOCAL, Endpoint
from pulse.core.trust.apikeys import Scope
from pulse.schemas.resolver import ResolverInfo


async def state(control: Control, _: Request) -> ResolverInfo:
    """Whether names under .pulse are asked of this node."""
    return await control.resolver.state()


async def set_up(control: Control, _: Request) -> ResolverInfo:
    """Tell the resolver of this machine, now and at every start."""
    return await control.resolver.set_up()


async def take_back(control: Control, _: Request) -> ResolverInfo:
    """Leave it as it was before."""
    return await control.resolver.take_back()


ENDPOINTS = (
    Endpoint("GET", "/api/resolver", state, Scope.READ),
    Endpoint("PUT", "/api/resolver", set_up, LOCAL),
    Endpoint("DELETE", "/api/resolver", take_back, LOCAL),
)
