"""`/api/trace`: the way frames take to a node."""

from starlette.requests import Request

from pulse import pathschemas
from pulse.api.control import Control
from pulse.api.endpoints import Endpoint
from pulse.core.trust.apikeys import Scope


async def trace(control: Control, _: Request, body: pathschemas.TraceRequest) -> pathschemas.Trace:
    """Ask hop by hop how frames get to another node, and measure."""
    return await control.trace.trace(body)


ENDPOINTS = (Endpoint("POST", "/api/trace", trace, Scope.READ),)
