"""Zone records, typed at any node that may: told, added and taken away in the network config.

Invariant: what is told of an edit is in force on this node by then.
"""

from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass

from pulse.core.messages import printable
from pulse.core.network.edits import Edits
from pulse.core.network.netconfig import SignedConfig
from pulse.core.network.sections import RecordAdded, RecordsRemoved
from pulse.core.network.statements import Statements
from pulse.core.network.zones import DOMAIN, TTL, Kind, ZoneRecord, matching, near_name, written
from pulse.core.trust.members import Members
from pulse.errors import Conflict, NotFound
from pulse.schemas.dns import RecordRef, RecordRequest, RecordView, ZoneChange

_ADDRESSES = (Kind.A, Kind.AAAA, Kind.CNAME)


@dataclass(frozen=True, slots=True)
class ZonesService:
    """One node as a place to work on zone records from; implements `pulse.api.governance.ZoneStore`."""

    statements: Statements
    members: Members
    edit: Callable[[Edits], Awaitable[SignedConfig]]
    """Has edits made, here or by the scribe."""

    async def all(self) -> list[RecordView]:
        """Every record, by name. Raises Refused before a network config is in force."""
        return _views(self.statements.config_in_force().config.zones)

    async def add(self, wanted: RecordRequest) -> ZoneChange:
        """Have a record beside the others. Raises Refused for what is none, and what an edit raises."""
        record = written(ZoneRecord(wanted.name, wanted.type, wanted.value, wanted.ttl or TTL))
        known = self.statements.config_in_force().config.zones
        if wanted.ttl is None:
            alike = (each.ttl for each in known if (each.name, each.kind) == (record.name, record.kind))
            record = written(ZoneRecord(record.name, record.kind, record.value, next(alike, TTL)))
        signed = await self.edit(Edits([RecordAdded(record)]))
        return ZoneChange(version=signed.version, records=_views([record]), note=self._note(record, known))

    async def remove(self, wanted: RecordRef) -> ZoneChange:
        """Take records away. Raises NotFound, and what an edit raises."""
        gone = matching(self.statements.config_in_force().config.zones, wanted.name, wanted.type, wanted.value)
        signed = await self.edit(Edits([RecordsRemoved(wanted.name, wanted.type, wanted.value)]))
        return ZoneChange(version=signed.version, records=_views(gone))

    # Details

    def _note(self, record: ZoneRecord, known: Iterable[ZoneRecord]) -> str:
        """What whoever typed the record may not have meant."""
        target = record.value.rpartition(" ")[2] if record.kind in (Kind.CNAME, Kind.SRV) else ""
        names = {each.name for each in known}
        if target.endswith(f".{DOMAIN}") and target not in names and not self._is_node(target):
            labels = {f"{self.members.label(each)}.{DOMAIN}" for each in self.members.all()}
            near = near_name(target, names | labels)
            return f"nothing is called {target} yet.{f' Did you mean {near}?' if near else ''}"
        if record.kind in _ADDRESSES and record.name.count(".") == 1 and self._is_node(record.name):
            return f"{record.name} is a node: its own addresses are not told any more"
        return ""

    def _is_node(self, name: str) -> bool:
        """True for the name of a node, and those below."""
        try:
            self.members.resolve(name.split(".")[-2])
        except (NotFound, Conflict):
            return False
        return True


def _views(records: Iterable[ZoneRecord]) -> list[RecordView]:
    """As people read them: what a later release wrote may have anything in it."""
    return [RecordView(printable(each.name), printable(each.kind), printable(each.value), each.ttl) for each in records]
