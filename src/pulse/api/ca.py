"""`/api/ca/log`, `/api/ca/verify`: the CA's journal."""

from starlette.requests import Request

from pulse.api.control import Control
from pulse.api.endpoints import Endpoint
from pulse.core.trust.apikeys import Scope
from pulse.schemas.journal import JournalCheck, JournalEntry, JournalQuery


async def log(control: Control, _: Request, query: JournalQuery) -> list[JournalEntry]:
    """Entries of the CA's journal after number `after`, oldest first."""
    return await control.ca.entries(query.after, query.limit)


async def verify(control: Control, _: Request) -> JournalCheck:
    """Walk the journal's hash chain."""
    return await control.ca.verify()


ENDPOINTS = (
    Endpoint("GET", "/api/ca/log", log, Scope.READ),
    Endpoint("GET", "/api/ca/verify", verify, Scope.READ),
)
