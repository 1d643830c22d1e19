"""`/api/name` and `/api/tags`: what the network config calls the nodes, on the scribe, the CA or an operator."""

from starlette.requests import Request

from pulse.api.control import Control
from pulse.api.endpoints import Endpoint
from pulse.core.trust.apikeys import Scope
from pulse.schemas.names import NameRequest, NodeNaming, TagRequest


async def set_name(control: Control, _: Request, body: NameRequest) -> NodeNaming:
    """Name a node; a name another node has is a conflict."""
    return await control.names.set_name(body)


async def add_tag(control: Control, _: Request, body: TagRequest) -> NodeNaming:
    """Give a node a tag."""
    return await control.names.add_tag(body)


async def remove_tag(control: Control, _: Request, body: TagRequest) -> NodeNaming:
    """Take a tag from a node."""
    return await control.names.remove_tag(body)


ENDPOINTS = (
    Endpoint("PUT", "/api/name", set_name, Scope.WRITE),
    Endpoint("POST", "/api/tags", add_tag, Scope.WRITE),
    Endpoint("DELETE", "/api/tags", remove_tag, Scope.WRITE),
)
