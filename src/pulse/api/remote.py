"""`/api/restart`, `/api/settings`: what an operator asks of a node afar; restarts of this one, too."""

from starlette.requests import Request

from pulse.api.control import Control
from pulse.api.endpoints import LOCAL, Endpoint
from pulse.schemas.operating import Reloaded, RemoteSettings, Restarting, RestartRequest


async def restart(control: Control, _: Request, body: RestartRequest) -> Restarting:
    """Restart this node, or another one as its operator."""
    return await control.remote.restart(body)


async def remote_config(control: Control, _: Request, body: RemoteSettings) -> Reloaded:
    """Change settings of another node, as its operator."""
    return await control.remote.configure(body)


ENDPOINTS = (
    Endpoint("POST", "/api/restart", restart, LOCAL, status=202),
    Endpoint("POST", "/api/settings", remote_config, LOCAL),
)
