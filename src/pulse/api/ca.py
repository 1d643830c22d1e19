"""`/api/ca/…`: the CA's journal, and its keys."""

from starlette.requests import Request

from pulse.api.control import Control
from pulse.api.endpoints import LOCAL, Endpoint
from pulse.core.trust.apikeys import Scope
from pulse.schemas.cert import CaRotation
from pulse.schemas.journal import JournalCheck, JournalEntry, JournalQuery


async def log(control: Control, _: Request, query: JournalQuery) -> list[JournalEntry]:
    """Entries of the CA's journal after number `after`, oldest first."""
    return await control.ca.entries(query.after, query.limit)


async def verify(control: Control, _: Request) -> JournalCheck:
    """Walk the journal's hash chain."""
    return await control.ca.verify()


async def rotation(control: Control, _: Request) -> CaRotation:
    """How far the replacement of the CA's key is."""
    return await control.rotation.status()


async def rotate(control: Control, _: Request) -> CaRotation:
    """Begin to replace the CA's key."""
    return await control.rotation.rotate()


ENDPOINTS = (
    Endpoint("GET", "/api/ca/rotation", rotation, Scope.READ),
    Endpoint("POST", "/api/ca/rotation", rotate, LOCAL, status=202),
    Endpoint("GET", "/api/ca/log", log, Scope.READ),
    Endpoint("GET", "/api/ca/verify", verify, Scope.READ),
)
