"""`/api/doctor`: what this node knows of its own state."""

from starlette.requests import Request

from pulse.api.control import Control
from pulse.api.endpoints import Endpoint
from pulse.core.trust.apikeys import Scope
from pulse.schemas.operating import Checkup


async def checkup(control: Control, _: Request) -> Checkup:
    """What `pulse doctor` asks: certificate, clock, links, who is missing, alarms."""
    return await control.doctor.checkup()


ENDPOINTS = (Endpoint("GET", "/api/doctor", checkup, Scope.READ),)
