"""`/api/ca/…`: the CA's journal."""

from starlette.requests import Request

from pulse import schemas
from pulse.api.control import Control
from pulse.api.routes import Endpoint
from pulse.core.trust.apikeys import Scope


async def log(control: Control, _: Request, query: schemas.JournalQuery) -> list[schemas.JournalEntry]:
    """Entries of the CA's journal after number `after`, oldest first."""
    return await control.ca_log(query.after, query.limit)


async def verify(control: Control, _: Request) -> schemas.JournalCheck:
    """Walk the journal's hash chain."""
    return await control.ca_verify()


ENDPOINTS = (
    Endpoint("GET", "/api/ca/log", log, Scope.READ),
    Endpoint("GET", "/api/ca/verify", verify, Scope.READ),
)
