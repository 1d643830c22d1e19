"""Who belongs together where not everybody can be with everybody, without a word about it: both ends reckon the same.

Highest random weight (Thaler and Ravishankar: A Name-Based Mapping Scheme for Rendezvous, 1996).
"""

import hashlib
from typing import Final

from pulse.core.types import NodeId

BITS: Final = 64


def rank_of(one: NodeId, other: NodeId) -> int:
    """How well two nodes go together, from 0 to 2^64 - 1; the same from both ends."""
    pair = min(one, other) + max(one, other)
    return int.from_bytes(hashlib.sha256(pair.encode()).digest()[: BITS // 8])


def is_among(few: int, many: int, one: NodeId, other: NodeId) -> bool:
    """True if `other` is one of about `few`, of `many`, that go best with `one`."""
    return rank_of(one, other) * many >= (many - few) << BITS
