"""How good a path is: the score that ranks whole paths, the additive cost that gives distances.

    score = latency in ms * (1 + 5 * loss) * (1 + 0.3 * hops)        local, floats
    cost  = sum over its links of latency in µs * (1 + 5 * loss) + 1000    the same at every node, whole numbers

Latency is the round trip. Invariant: two nodes that know the same figures compute the same cost, to the last
digit; a rounding that differed would be enough for each to hold the other for the closer one.
"""

from typing import Final

MICRO: Final = 1_000_000
"""Whole numbers a second, and parts that make a loss of 1."""

HOP_COST: Final = 1000
"""A millisecond a hop: of two ways of one length the one over fewer nodes is the shorter."""

LEAST_LATENCY: Final = 1.0
"""Milliseconds below which a whole path is not told from another: that is scheduling, not distance."""

LOSS_FACTOR: Final = 5
"""What a loss costs, in latencies: a fifth of all doubles them."""

_HOP_FACTOR: Final = 0.3


def score(latency: float, loss: float, hops: int) -> float:
    """How bad a whole path is, about in milliseconds; `latency` in seconds, `loss` from 0 to 1."""
    return max(latency * 1000, LEAST_LATENCY) * (1 + LOSS_FACTOR * loss) * (1 + _HOP_FACTOR * hops)


def cost(rtt: int, loss: int) -> int:
    """What one link adds to a distance; `rtt` in µs, `loss` in millionths."""
    return rtt + rtt * LOSS_FACTOR * loss // MICRO + HOP_COST


def micro(value: float) -> int:
    """Seconds or a loss as whole millionths."""
    return round(value * MICRO)
