"""`/api/ca/rotation`: the CA's key, and the next one in its place."""

from starlette.requests import Request

from pulse.api.control import Control
from pulse.api.endpoints import LOCAL, Endpoint
from pulse.core.trust.apikeys import Scope
from pulse.schemas.cert import CaRotation, RotationWithout


async def rotation(control: Control, _: Request) -> CaRotation:
    """How far the replacement of the CA's key is."""
    return await control.rotation.status()


async def rotate(control: Control, _: Request) -> CaRotation:
    """Begin to replace the CA's key."""
    return await control.rotation.rotate()


async def go_on_without(control: Control, _: Request, body: RotationWithout) -> CaRotation:
    """Let the replacement of the CA's key wait for some nodes no longer."""
    return await control.rotation.go_on_without(body)


ENDPOINTS = (
    Endpoint("GET", "/api/ca/rotation", rotation, Scope.READ),
    Endpoint("POST", "/api/ca/rotation", rotate, LOCAL, status=202),
    Endpoint("POST", "/api/ca/rotation/without", go_on_without, LOCAL),
)
