"""`/api/doctor`: what this node knows of its own state."""

from starlette.requests import Request

from pulse import opsschemas
from pulse.api.control import Control
from pulse.api.endpoints import Endpoint
from pulse.core.trust.apikeys import Scope


async def checkup(control: Control, _: Request) -> opsschemas.Checkup:
    """What `pulse doctor` asks: certificate, clock, links, who is missing, alarms."""
    return await control.doctor.checkup()


ENDPOINTS = (Endpoint("GET", "/api/doctor", checkup, Scope.READ),)
