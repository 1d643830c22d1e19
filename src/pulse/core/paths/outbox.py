"""What one neighbour is still to be sent, within its pace: certificates, then fresh records, then the backlog.

Only names wait here; what they name is looked up when it goes, so a record that was replaced meanwhile is never
sent. Invariant: a certificate that waits goes before any record.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final, TypeVar

from pulse.core.effects import Effect, SendMessage
from pulse.core.messages import Item, NodeRecords, ObjectKind, Objects, Wire, batches, encode
from pulse.core.paths.budget import Pace
from pulse.core.paths.noderecord import NodeRecord
from pulse.core.trust.certificates import Certificate
from pulse.core.types import LinkId, NodeId

_T = TypeVar("_T")

BATCH: Final = 16 * 1024
"""Bytes of records or certificates in one message: longer ones would hold up what comes after."""

BREATH: Final = 0.1
"""Seconds between two messages of a backlog: single records would wake both ends 150 times a second."""


@dataclass(frozen=True, slots=True)
class Shelf:
    """Where what is named is looked up."""

    record: Callable[[NodeId], NodeRecord | None]
    certificate: Callable[[bytes], Certificate | None]


class Outbox:
    """What waits for one link."""

    def __init__(self, link: LinkId, shelf: Shelf, now: float, pace: Pace | None = None) -> None:
        self._link, self._shelf = link, shelf
        self._pace = pace or Pace(now)
        self._certificates: dict[bytes, None] = {}
        self._fresh: dict[NodeId, None] = {}
        self._backlog: dict[NodeId, None] = {}
        self._next = now

    def add_certificate(self, wanted: bytes) -> None:
        """The certificate with that hash is to go."""
        self._certificates[wanted] = None

    def add_fresh(self, node: NodeId) -> None:
        """A record that just came is to go on."""
        self._fresh[node] = None
        self._backlog.pop(node, None)

    def add_backlog(self, node: NodeId) -> None:
        """A record the neighbour missed is to go when there is room."""
        if node not in self._fresh:
            self._backlog[node] = None

    def drop(self, node: NodeId) -> None:
        """The neighbour has that record by now."""
        self._fresh.pop(node, None)
        self._backlog.pop(node, None)

    def say(self, message: Wire, now: float) -> SendMessage:
        """A message that does not wait; it counts all the same."""
        payload = encode(message)
        self._pace.spend(0, len(payload), now)
        return SendMessage(self._link, payload)

    def deadline(self) -> float | None:
        """When more may go."""
        return self._next if self._certificates or self._fresh or self._backlog else None

    def flush(self, now: float) -> list[Effect]:
        """Send what may go now."""
        if now < self._next or self.deadline() is None:
            return []
        certificates = [Item(ObjectKind.CERTIFICATE, each) for each in self._taken_certificates(now)]
        records = [*self._taken_records(now)]
        if self.deadline() is not None:
            self._next = max(now + BREATH, self._pace.ready_at(now))
        messages: list[Wire] = [
            *(Objects(batch) for batch in batches(certificates, lambda each: len(each.data), BATCH)),
            *(NodeRecords(batch) for batch in batches(records, len, BATCH)),
        ]
        return [SendMessage(self._link, encode(message)) for message in messages]

    def _taken_certificates(self, now: float) -> Iterator[bytes]:
        while self._certificates and self._pace.is_ready(now):
            certificate = self._shelf.certificate(_first(self._certificates))
            if certificate is not None:
                self._pace.spend(1, len(certificate.der), now)
                yield certificate.der

    def _taken_records(self, now: float) -> Iterator[bytes]:
        while (waiting := self._fresh or self._backlog) and self._pace.is_ready(now):
            record = self._shelf.record(_first(waiting))
            if record is not None:
                self._pace.spend(1, len(record.data), now)
                yield record.data


def _first(waiting: dict[_T, None]) -> _T:
    """Take out what waits longest."""
    first = next(iter(waiting))
    del waiting[first]
    return first
