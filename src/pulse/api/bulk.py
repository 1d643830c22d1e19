"""`/api/bulk`: one change for many nodes."""

from starlette.requests import Request

from pulse.api.control import Control
from pulse.api.endpoints import Endpoint
from pulse.core.trust.apikeys import Scope
from pulse.schemas.bulk import BulkDone, BulkRequest


async def change(control: Control, _: Request, body: BulkRequest) -> BulkDone:
    """Give a tag to all nodes that a pattern fits, take it, or revoke them."""
    return await control.bulk.change(body)


ENDPOINTS = (Endpoint("POST", "/api/bulk", change, Scope.WRITE),)
