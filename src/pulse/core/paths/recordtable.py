"""The newest record of each node, and the one rule by which they replace each other.

Invariant: what is held depends on which records came, not on their order or how often: higher numbers win, of
equal numbers the lower hash, of two nodes under one address the one certified earlier.
"""

from collections.abc import Collection, Iterator, ValuesView
from dataclasses import dataclass
from typing import Final

from pulse.core.paths.digest import Summary, bucket_of
from pulse.core.paths.noderecord import NodeRecord
from pulse.core.trust.signed import Comparison, compare
from pulse.core.types import NodeId

MOST_RECORDS: Final = 4096


@dataclass(frozen=True, slots=True)
class Merge:
    """What became of a record."""

    comparison: Comparison
    taken: bool = False
    forgotten: NodeId | None = None
    """Whose record had to go for it."""
    address_clash: bool = False
    """Another node bears its mesh address."""


class RecordTable:
    """Records by node, ours included."""

    def __init__(self, me: NodeId, most: int = MOST_RECORDS) -> None:
        self._me, self._most = me, most
        self._records: dict[NodeId, NodeRecord] = {}
        self._holders: dict[bytes, tuple[float, NodeId]] = {}
        """Handle to who bears it and since when it is certified to: one entry for each record."""
        self._unreachable: dict[NodeId, None] = {}
        """Longest unreachable first."""
        self.summary = Summary()

    # Facts

    def merge(self, record: NodeRecord, certified: float) -> Merge:
        """Take in a verified record; `certified` is when its certificate begins."""
        ours = self._records.get(record.node)
        comparison = _compared(ours, record)
        if not comparison.takes_theirs:
            return Merge(comparison)
        holder = self._holders.get(record.handle.packed, (certified, record.node))
        other = holder[1] if holder[1] != record.node else None
        if other is not None and holder < (certified, record.node):
            return Merge(comparison, address_clash=True)
        gone = other or (self._victim() if ours is None and len(self._records) >= self._most else None)
        if gone is None and ours is None and len(self._records) >= self._most:
            return Merge(comparison)
        if gone is not None:
            self.forget(gone)
        self._put(record, certified)
        return Merge(comparison, taken=True, forgotten=gone, address_clash=other is not None)

    def forget(self, node: NodeId) -> bool:
        """Drop the record of a node; True if there was one."""
        record = self._records.pop(node, None)
        if record is None:
            return False
        self._unreachable.pop(node, None)
        self.summary.removed(record)
        del self._holders[record.handle.packed]
        return True

    def node_expired(self, node: NodeId) -> None:
        """Nobody reaches the node any more: should room be needed, its record goes first."""
        if node in self._records:
            self._unreachable.setdefault(node)

    def node_returned(self, node: NodeId) -> None:
        """The node is there again."""
        self._unreachable.pop(node, None)

    # Queries

    def get(self, node: NodeId) -> NodeRecord | None:
        """The record of a node."""
        return self._records.get(node)

    def at(self, handle: bytes) -> NodeRecord | None:
        """The record of the node that bears a mesh address, 4 bytes."""
        holder = self._holders.get(handle)
        return self._records.get(holder[1]) if holder else None

    def holds(self, handle: bytes, numbers: tuple[int, int]) -> bool:
        """True if that version or a newer one is held."""
        record = self.at(handle)
        return record is not None and record.numbers >= numbers

    def __len__(self) -> int:
        return len(self._records)

    def all(self) -> ValuesView[NodeRecord]:
        """Every record."""
        return self._records.values()

    def inside(self, buckets: Collection[int]) -> Iterator[NodeRecord]:
        """The records in these buckets of the summary."""
        wanted = frozenset(buckets)
        return (record for record in self._records.values() if bucket_of(record.node) in wanted)

    # Details

    def _victim(self) -> NodeId | None:
        return next((node for node in self._unreachable if node != self._me), None)

    def _put(self, record: NodeRecord, certified: float) -> None:
        before = self._records.get(record.node)
        if before is not None:
            self.summary.removed(before)
            if before.handle != record.handle:
                del self._holders[before.handle.packed]
        self._records[record.node] = record
        self._holders[record.handle.packed] = certified, record.node
        self.summary.added(record)


def _compared(ours: NodeRecord | None, theirs: NodeRecord) -> Comparison:
    if ours is None:
        return Comparison.NEWER
    return compare((ours.numbers, ours.hash), (theirs.numbers, theirs.hash))
