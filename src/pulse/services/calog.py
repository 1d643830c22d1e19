"""Tells what the CA's journal has, or where it lives.

Invariant: nothing is written here.
"""

from dataclasses import dataclass
from typing import Protocol

from pulse.core.trust.members import Members
from pulse.errors import Refused
from pulse.schemas.journal import JournalCheck, JournalEntry
from pulse.store.journal import Entry, Verification


class Journal(Protocol):
    """What this service asks of the CA on this node."""

    def entries(self, after: int, limit: int) -> list[Entry]: ...
    def verify(self) -> Verification: ...


@dataclass(frozen=True, slots=True)
class CaLogService:
    """The CA's journal as its owner reads it; implements `api.control.CaLog`."""

    members: Members
    ca: Journal | None
    """On the CA."""

    async def entries(self, after: int, limit: int) -> list[JournalEntry]:
        found = self._journal().entries(after, limit)
        return [JournalEntry(each.seq, each.time, each.event, each.fields) for each in found]

    async def verify(self) -> JournalCheck:
        found = self._journal().verify()
        return JournalCheck(found.entries, found.broken, found.reason, found.time)

    def _journal(self) -> Journal:
        if self.ca is None:
            keepers = [self.members.label(each) for each in self.members.all() if each.is_ca]
            where = f" Run it on {keepers[0]}." if keepers else ""
            raise Refused(f"this node is not the CA, and its journal lives there.{where}")
        return self.ca
