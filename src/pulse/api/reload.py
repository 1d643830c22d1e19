"""`/api/reload`: the settings of this node, read again."""

from starlette.requests import Request

from pulse.api.control import Control
from pulse.api.endpoints import LOCAL, Endpoint
from pulse.schemas.operating import Reloaded


async def reload(control: Control, _: Request) -> Reloaded:
    """Read this node's settings again."""
    return await control.reload.reload()


ENDPOINTS = (Endpoint("POST", "/api/reload", reload, LOCAL),)
