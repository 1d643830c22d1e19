"""How much gossip a neighbour may send, how much we send it, and how often an origin is passed on.

We send less than we take, so an honest neighbour never meets the limit. Invariant: what comes over the limit
costs its sender, not us: it is dropped unread, and who keeps on is closed.
"""

from dataclasses import dataclass
from enum import Enum
from typing import Final

from pulse.core.bucket import Bucket
from pulse.core.messages import Digest, Have, Prune, Want


@dataclass(frozen=True, slots=True)
class Rates:
    """Records and bytes a second, and for how many seconds of silence they may be saved up."""

    records: float
    size: float
    burst: float


INCOMING: Final = Rates(records=200, size=64 * 1024, burst=2.0)
"""What one neighbour may send us (protocol §6)."""

OUTGOING: Final = Rates(records=150, size=48 * 1024, burst=1.0)
"""What we send one neighbour: three quarters of what it takes, so that jitter on the way never trips it."""

PATIENCE: Final = 10.0
"""A neighbour that was this many seconds' worth of budget over it is closed: in a second at ten times the limit."""

FORGIVEN: Final = 0.25
"""Seconds' worth of excess forgiven each second: who stays a quarter over the limit is only throttled."""

ORIGIN_BURST: Final = 5
ORIGIN_RATE: Final = 1.0
"""Versions of one node's record passed on at once, and then each second."""


class Verdict(Enum):
    """What to do with something that arrived."""

    TAKE = "take"
    DROP = "drop"
    CLOSE = "close"


class Budget:
    """What one neighbour may still send."""

    def __init__(self, now: float, rates: Rates = INCOMING) -> None:
        self._rates = rates
        self._records = Bucket(rates.records, rates.records * rates.burst, now)
        self._bytes = Bucket(rates.size, rates.size * rates.burst, now)
        self._patience = Bucket(FORGIVEN, PATIENCE, now)

    def judge(self, records: int, size: int, now: float) -> Verdict:
        """So many records in so many bytes came: charge them, or say no."""
        if self._records.level(now) >= records and self._bytes.level(now) >= size:
            self._records.spend(records, now)
            self._bytes.spend(size, now)
            return Verdict.TAKE
        self._patience.spend(max(records / self._rates.records, size / self._rates.size), now)
        return Verdict.DROP if self._patience.level(now) > 0 else Verdict.CLOSE


class Pace:
    """When we may send one neighbour more."""

    def __init__(self, now: float, rates: Rates = OUTGOING) -> None:
        self._records = Bucket(rates.records, rates.records * rates.burst, now)
        self._bytes = Bucket(rates.size, rates.size * rates.burst, now)

    def is_ready(self, now: float) -> bool:
        """True if nothing is owed."""
        return self._records.level(now) >= 1 and self._bytes.level(now) > 0

    def spend(self, records: int, size: int, now: float) -> None:
        """So many records in so many bytes went out."""
        self._records.spend(records, now)
        self._bytes.spend(size, now)

    def ready_at(self, now: float) -> float:
        """When what is owed is waited off."""
        return max(self._records.ready_at(1, now), self._bytes.ready_at(1, now))


class Tempo:
    """How often each of many, nodes or places, may do something: a burst, then so many a second."""

    def __init__(self, burst: float = ORIGIN_BURST, rate: float = ORIGIN_RATE) -> None:
        self._burst, self._rate = burst, rate
        self._buckets: dict[str, tuple[Bucket, float]] = {}
        """Each with the time at which it is full again and need not be kept; least recently used first."""

    def take(self, who: str, now: float) -> float:
        """`now` if that one may, which counts; else when it may."""
        bucket, _ = self._buckets.pop(who, (Bucket(self._rate, self._burst, now), now))
        when = bucket.ready_at(1, now)
        if when <= now:
            bucket.spend(1, now)
        self._buckets[who] = bucket, now + self._burst / self._rate
        self._sweep(now)
        return max(when, now)

    def _sweep(self, now: float) -> None:
        while True:
            oldest = next(iter(self._buckets))
            if self._buckets[oldest][1] > now:
                return
            del self._buckets[oldest]

    def __len__(self) -> int:
        """Those that did something lately."""
        return len(self._buckets)


def size_of(message: Have | Prune | Digest | Want) -> int:
    """Bytes of names in a message, by which what it asks for is judged."""
    match message:
        case Have(ids, buckets):
            return len(ids) + len(buckets)
        case Want(ids, certificates):
            return len(ids) + len(certificates)
        case Digest(buckets):
            return len(buckets)
        case Prune():
            return 1
