"""When a node asks for its next certificate: with a third of its life left, and then ever sooner as its end comes.

Times here are the wall clock, seconds since 1970, for that is what a certificate ends by; it may be put right at any
moment, so whoever runs this looks at it often. Invariant: one request is out at a time, two are never less than
`LEAST_PAUSE` apart, and no answer ends the asking.
"""

from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Final

from pulse.core.trust.certificates import Certificate

if TYPE_CHECKING:
    from random import Random

LAST_THIRD: Final = 1 / 3
"""Share of its life a certificate has left when its node begins to ask."""

SPREAD: Final = 1 / 12
"""Share of its life over which nodes that joined together are spread."""

LEAST_PAUSE: Final = 1.0
FIRST_PAUSE: Final = 60.0
LONGEST_PAUSE: Final = 3600.0
"""Seconds between two requests: at least, after the first, and at most; each is twice the one before."""

SHOWN: Final = 1 / 24
SHOWN_MOST: Final = 60.0
"""Share of a certificate's life, and seconds at most, within which neighbours see it on links made anew."""

URGENCY: Final = 1 / 16
"""Share of what is left of the certificate that a pause may be at most."""

TURN: Final = 0.1
"""Seconds a node of the mesh over which all of them ask when the CA's key is another: it signs ten a second."""

ENDED_PAUSE: Final = 30.0
"""Seconds between requests once it has ended: nobody talks to this node till then."""


@dataclass(frozen=True, slots=True)
class AskCa:
    """Ask the CA over a session; answer with one of the machine's facts."""


@dataclass(frozen=True, slots=True)
class AskAnybody:
    """Our certificate has ended: ask over the join lanes of the nodes we know, one after the other."""


Effect = AskCa | AskAnybody


class Overdue(Enum):
    """How a certificate stands to the CA's keys."""

    NOT = "not"
    SUPERSEDED = "superseded"
    """The CA signs with a later key by now."""
    OUTCAST = "outcast"
    """The key that signed it is retired: nobody takes a link with its node."""


class Phase(Enum):
    """Where a node stands with its next certificate."""

    RESTING = "resting"
    ASKING = "asking"


def spread_of(certificate: Certificate) -> float:
    """Seconds over which the links of a node that has this certificate by now are made anew."""
    return min(SHOWN_MOST, SHOWN * (certificate.not_after - certificate.not_before))


class Renewal:
    """The life of one node's certificates."""

    def __init__(self, certificate: Certificate, random: "Random") -> None:
        self._random = random
        self._failures = 0
        self._superseded: Certificate | None = None
        """The certificate of which that was said last."""
        self.phase = Phase.RESTING
        self.certificate = certificate
        self._due = self._first_due = self._begin()

    # Facts

    def renewed(self, certificate: Certificate, wall: float) -> list[Effect]:
        """The CA gave us that certificate, which may be the one we have."""
        self.phase = Phase.RESTING
        if certificate.not_before <= self.certificate.not_before:
            # By the CA's clock it is early; ours may be wrong.
            return self.failed(wall)
        self.certificate, self._failures = certificate, 0
        self._first_due = self._begin()
        self._due = max(self._first_due, wall + LEAST_PAUSE)
        return []

    def failed(self, wall: float) -> list[Effect]:
        """The CA could not be asked, or said no for now."""
        self.phase = Phase.RESTING
        self._due = wall + self._pause(self.certificate.not_after - wall)
        self._failures += 1
        return []

    def superseded(self, nodes: int, wall: float) -> list[Effect]:
        """The CA signs with another key than it signed our certificate with; so many nodes are to ask it now."""
        if self._superseded == self.certificate:
            return []
        self._superseded = self.certificate
        life = self.certificate.not_after - self.certificate.not_before
        spread = min(SPREAD * life, nodes * TURN)
        self._due = self._first_due = min(self._first_due, wall + spread * self._random.random())
        return []

    def revoked(self, wall: float) -> list[Effect]:
        """The CA said that we are out: only seldom is that undone, when it was the word of a stolen scribe."""
        self.phase = Phase.RESTING
        self._due = wall + LONGEST_PAUSE
        return []

    # The machine's face

    def deadline(self) -> float | None:
        """When the next request is due; None while one is out."""
        return self._due if self.phase is Phase.RESTING else None

    def tick(self, wall: float) -> list[Effect]:
        """Time has passed."""
        # A clock that leapt ahead and was set back must not leave us waiting for the day it showed.
        self._due = min(self._due, max(self._first_due, wall + LONGEST_PAUSE))
        if self.phase is not Phase.RESTING or wall < self._due:
            return []
        self.phase = Phase.ASKING
        return [AskCa() if wall <= self.certificate.not_after else AskAnybody()]

    # Details

    def _begin(self) -> float:
        """When to ask first."""
        life = self.certificate.not_after - self.certificate.not_before
        return self.certificate.not_after - life * (LAST_THIRD - SPREAD * self._random.random())

    def _pause(self, left: float) -> float:
        longest = min(LONGEST_PAUSE, left * URGENCY) if left > 0 else ENDED_PAUSE
        pause = min(FIRST_PAUSE * (1 << min(self._failures, 16)), longest)
        return max(LEAST_PAUSE, pause * self._random.uniform(0.5, 1.0))
