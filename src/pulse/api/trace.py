"""`/api/trace`: the way frames take to a node."""

from starlette.requests import Request

from pulse.api.control import Control
from pulse.api.endpoints import Endpoint
from pulse.core.trust.apikeys import Scope
from pulse.schemas.paths import Trace, TraceRequest


async def trace(control: Control, _: Request, body: TraceRequest) -> Trace:
    """Ask hop by hop how frames get to another node, and measure."""
    return await control.trace.trace(body)


ENDPOINTS = (Endpoint("POST", "/api/trace", trace, Scope.READ),)
