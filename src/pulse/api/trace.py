"""`/api/trace`: the way frames take to a node."""

from starlette.requests import Request

from pulse import schemas
from pulse.api.control import Control
from pulse.api.routes import Endpoint


async def trace(control: Control, _: Request, body: schemas.TraceRequest) -> schemas.Trace:
    """Ask hop by hop how frames get to another node, and measure."""
    return await control.trace(body)


ENDPOINTS = (Endpoint("POST", "/api/trace", trace),)
