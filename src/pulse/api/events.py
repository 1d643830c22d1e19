"""`/api/events…`: what happened, as this node saw it, and how the mesh looked at a time."""

from starlette.requests import Request

from pulse.api.control import Control
from pulse.api.endpoints import Endpoint
from pulse.core.trust.apikeys import Scope
from pulse.schemas.events import Events, EventsQuery, Moment, MomentQuery
from pulse.schemas.journal import JournalCheck


async def events(control: Control, _: Request, query: EventsQuery) -> Events:
    """Entries of this node's journal: the newest that fit, or those after number `after`; oldest first."""
    return await control.events.events(query)


async def verify(control: Control, _: Request) -> JournalCheck:
    """Walk the hash chain of this node's journal."""
    return await control.events.verify()


async def at(control: Control, _: Request, query: MomentQuery) -> Moment:
    """The mesh as this node saw it at a time."""
    return await control.events.at(query)


ENDPOINTS = (
    Endpoint("GET", "/api/events", events, Scope.READ),
    Endpoint("GET", "/api/events/verify", verify, Scope.READ),
    Endpoint("GET", "/api/events/at", at, Scope.READ),
)
