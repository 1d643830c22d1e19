"""`/api/pins`: by which neighbour this node reaches others, where a person chose."""

from starlette.requests import Request

from pulse.api.control import Control
from pulse.api.endpoints import Endpoint
from pulse.core.trust.apikeys import Scope
from pulse.schemas.pin import PinInfo, PinRequest, UnpinRequest


async def pin(control: Control, _: Request, body: PinRequest) -> PinInfo:
    """Reach a node by one neighbour, whatever the scores say."""
    return await control.pins.pin(body)


async def unpin(control: Control, _: Request, body: UnpinRequest) -> PinInfo:
    """Reach a node by the best path again."""
    return await control.pins.unpin(body)


ENDPOINTS = (
    Endpoint("PUT", "/api/pins", pin, Scope.WRITE),
    Endpoint("DELETE", "/api/pins", unpin, Scope.WRITE),
)
