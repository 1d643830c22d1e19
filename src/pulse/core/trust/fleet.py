"""How long everybody's certificate still lives, as far as this node has seen, and whose is worth a word.

Invariant: who renews in time is never worth one.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from pulse.core.trust.certificates import Certificate

LATE: Final = 2 / 9
"""Share of its life: 20 days of 90. Its node began to ask with a quarter left, if not before."""


class Outlook(StrEnum):
    """What is to be said of a certificate."""

    GOOD = "good"
    LATE = "late"
    """It should have been renewed."""
    ENDED = "ended"
    """Nobody talks to its node."""


@dataclass(frozen=True, slots=True)
class Tenure:
    """One node's certificate, `left` seconds before its end."""

    certificate: Certificate
    left: float
    outlook: Outlook


def outlook(left: float, life: float) -> Outlook:
    """What is to be said of a certificate good for `life` seconds, `left` of them to come."""
    if left <= 0:
        return Outlook.ENDED
    return Outlook.LATE if left < LATE * life else Outlook.GOOD


def survey(certificates: Iterable[Certificate], wall: float) -> list[Tenure]:
    """All of them at the wall clock `wall`, the one that ends first first."""
    found = [
        Tenure(each, each.not_after - wall, outlook(each.not_after - wall, each.not_after - each.not_before))
        for each in certificates
    ]
    return sorted(found, key=lambda each: (each.left, each.certificate.node_id))
