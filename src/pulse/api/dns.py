"""`/api/dns`: what names under `.pulse` say besides those of the nodes; edited where the scribe or an operator is."""

from starlette.requests import Request

from pulse.api.control import Control
from pulse.api.endpoints import Endpoint
from pulse.core.trust.apikeys import Scope
from pulse.schemas.dns import RecordRef, RecordRequest, RecordView, ZoneChange


async def list_records(control: Control, _: Request) -> list[RecordView]:
    """Every zone record, by name."""
    return await control.dns.all()


async def add_record(control: Control, _: Request, body: RecordRequest) -> ZoneChange:
    """Have a record beside the others."""
    return await control.dns.add(body)


async def remove_records(control: Control, _: Request, body: RecordRef) -> ZoneChange:
    """Take away all records of a name and type, or the one of that value."""
    return await control.dns.remove(body)


ENDPOINTS = (
    Endpoint("GET", "/api/dns", list_records, Scope.READ),
    Endpoint("POST", "/api/dns", add_record, Scope.WRITE),
    Endpoint("DELETE", "/api/dns", remove_records, Scope.WRITE),
)
