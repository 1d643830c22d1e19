"""A summary of all records held, so that two nodes find what differs without naming what does not.

256 buckets of 8 bytes: a record lies in the bucket of its node id's first byte and adds the first 8 bytes of
its hash, mod 2^64. Invariant: the summary depends on the set of records alone, never on the order they came in.
"""

import struct
from typing import Final

from pulse.core.paths.noderecord import NodeRecord
from pulse.core.types import NodeId

BUCKETS: Final = 256
_MASK: Final = 2**64 - 1
_PACKED: Final = struct.Struct(f">{BUCKETS}Q")


class Summary:
    """Kept up to date record by record."""

    def __init__(self) -> None:
        self._sums = [0] * BUCKETS

    def added(self, record: NodeRecord) -> None:
        """A record is held from now on."""
        bucket = bucket_of(record.node)
        self._sums[bucket] = (self._sums[bucket] + _weight(record)) & _MASK

    def removed(self, record: NodeRecord) -> None:
        """A record is held no more."""
        bucket = bucket_of(record.node)
        self._sums[bucket] = (self._sums[bucket] - _weight(record)) & _MASK

    def packed(self) -> bytes:
        """2,048 bytes, as they travel."""
        return _PACKED.pack(*self._sums)

    def differing(self, theirs: bytes) -> bytes:
        """Buckets, a byte each, whose content differs from `theirs`."""
        pairs = zip(self._sums, _PACKED.unpack(theirs), strict=True)
        return bytes(bucket for bucket, (ours, other) in enumerate(pairs) if ours != other)


def bucket_of(node: NodeId) -> int:
    """The bucket of a node's record."""
    return int(node[:2], 16)


def _weight(record: NodeRecord) -> int:
    return int.from_bytes(record.hash[:8])
