"""`/api/pins`: by which neighbour this node reaches others, where a person chose."""

from starlette.requests import Request

from pulse import schemas
from pulse.api.control import Control
from pulse.api.endpoints import Endpoint
from pulse.core.trust.apikeys import Scope


async def pin(control: Control, _: Request, body: schemas.PinRequest) -> schemas.PinInfo:
    """Reach a node by one neighbour, whatever the scores say."""
    return await control.pins.pin(body)


async def unpin(control: Control, _: Request, body: schemas.UnpinRequest) -> schemas.PinInfo:
    """Reach a node by the best path again."""
    return await control.pins.unpin(body)


ENDPOINTS = (
    Endpoint("PUT", "/api/pins", pin, Scope.WRITE),
    Endpoint("DELETE", "/api/pins", unpin, Scope.WRITE),
)
