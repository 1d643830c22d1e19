"""Zone records, answered from memory."""

from pulse.errors import NotFound, Refused
from pulse.schemas.dns import RecordRef, RecordRequest, RecordView, ZoneChange

RECORD = RecordView("db.pulse", "CNAME", "vm-01.pulse", 60)


class FakeZones:
    """Implements `pulse.schemas.dns.ZoneStore`."""

    def __init__(self, asked: list[object]) -> None:
        self.asked = asked
        self.there = [RECORD]

    async def all(self) -> list[RecordView]:
        return self.there

    async def add(self, wanted: RecordRequest) -> ZoneChange:
        self.asked.append(wanted)
        if wanted.type == "MX":
            raise Refused('"MX" is no type of record. There are: A, AAAA, CNAME, TXT, SRV')
        note = "" if wanted.value == "10.9.0.1" else "nothing is called vm-1.pulse yet. Did you mean vm-01.pulse?"
        added = RecordView(wanted.name, wanted.type, wanted.value, wanted.ttl or 60)
        return ZoneChange(version="1.8", records=[added], note=note)

    async def remove(self, wanted: RecordRef) -> ZoneChange:
        self.asked.append(wanted)
        if wanted.name != RECORD.name:
            raise NotFound(f"there is no record {wanted.name} {wanted.type}. See them: pulse dns list")
        return ZoneChange(version="1.8", records=[RECORD])
