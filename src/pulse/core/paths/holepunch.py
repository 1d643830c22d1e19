"""One attempt at a hole through the NATs between us and a node: which probes go where and when, what came of them.

Both ends send to every place where the other may be, from the sockets they listen on, so that each NAT has seen a
packet leave for where the next one comes from (RFC 5128 §3.3; the checks of ICE, RFC 8445 §7). Invariant: a place opens
by a probe of the node itself alone, and no place is sent more than `SCHEDULE` says.
"""

import hmac
from dataclasses import dataclass
from enum import Enum
from typing import Final

from pulse.core.effects import Attempt, Effect, SendProbe
from pulse.core.types import NodeId

SCHEDULE: Final = (0.0, 0.02, 0.05, 0.1, 0.2, 0.4, 1.4, 2.4, 3.4, 4.4, 5.4)
"""Seconds after the beginning at which each place is sent a probe."""

GIVE_UP: Final = 7.0
"""Seconds after which no answer is to be expected."""

LINGER: Final = 3.0
"""Seconds for which probes are answered yet, once there is a way: the other end may not have heard."""

MOST_PLACES: Final = 8
"""Places of a node that are tried, named by it; it may send from as many again."""


class Phase(Enum):
    """How far an attempt is."""

    PROBING = "probing"
    OPEN = "open"
    FAILED = "failed"


@dataclass(slots=True)
class Tally:
    """Probes of one attempt at one place."""

    sent: int = 0
    answered: int = 0
    heard: int = 0
    """Probes of the node's own that came from there."""


def attempt_of(nonces: bytes, me: NodeId, peer: NodeId) -> Attempt:
    """What both ends make of the two nonces, the asker's first; nobody else knows them."""

    def derived(label: bytes) -> bytes:
        return hmac.digest(nonces, b"pulse punch v1 " + label, "sha256")

    number = int.from_bytes(derived(b"number")[:8])
    return Attempt(number, derived(bytes.fromhex(me)), derived(bytes.fromhex(peer)))


class HolePunch:
    """One attempt; whoever runs it sends the probes and tells it those that come."""

    def __init__(self, attempt: Attempt, places: tuple[str, ...], now: float, room: int = 2 * MOST_PLACES) -> None:
        self.attempt = attempt
        self.phase = Phase.PROBING
        self.opened = ""
        """The place that opened first."""
        self.tallies = {place: Tally() for place in places[:MOST_PLACES]}
        self.began = now
        self._room = room
        self._rounds = 0
        self._over = now + GIVE_UP

    # Facts

    def probe_received(self, source: str, *, echo: bool, now: float) -> list[Effect]:
        """A probe of the node, or its echo of one of ours, came from `source`."""
        tally = self.tallies.get(source)
        if tally is None:
            if len(self.tallies) >= self._room:
                return []
            # A NAT gave it a port that it did not know of.
            tally = self.tallies[source] = Tally()
        if echo:
            tally.answered += 1
        else:
            tally.heard += 1
        if self.phase is not Phase.PROBING:
            return []
        self.phase, self.opened, self._over = Phase.OPEN, source, now + LINGER
        return []

    # The machine's face

    def deadline(self) -> float | None:
        """When the next probes are due, or all is over."""
        if self.phase is Phase.PROBING and self._rounds < len(SCHEDULE):
            return self.began + SCHEDULE[self._rounds]
        return None if self.phase is Phase.FAILED else self._over

    def tick(self, now: float) -> list[Effect]:
        """Send what is due."""
        if self.phase is Phase.PROBING and now >= self._over:
            self.phase = Phase.FAILED
        if self.phase is not Phase.PROBING or self._rounds >= len(SCHEDULE):
            return []
        if now < self.began + SCHEDULE[self._rounds]:
            return []
        self._rounds += 1
        for tally in self.tallies.values():
            tally.sent += 1
        return [SendProbe(place, self.attempt.number) for place in self.tallies]

    # Queries

    def is_over(self, now: float) -> bool:
        """True if probes of it are not expected any more."""
        return now >= self._over
