"""Birthday probing: a hole between a symmetric NAT and one that lets in only what it sent to.

The end behind the symmetric NAT opens many sockets, each of which gets an outer port, and sends from all to the other's
one place; the other sends to as many ports as it may guess, and of few people two share a birthday. Invariant: both
ends agreed to it over their session; a node does it with one other at a time, and with one node, or to one host, once
an hour.
"""

from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import TYPE_CHECKING, Final

from pulse.core.addresses import join, split
from pulse.core.effects import Attempt, Effect, SendProbe, SendProbesApart
from pulse.core.messages import MOST_SEEN, Birthday
from pulse.core.paths.holepunch import HolePunch, Phase
from pulse.core.paths.nat import Mapping, Nat, is_v4
from pulse.core.types import NodeId

if TYPE_CHECKING:
    from random import Random

PROBES: Final = 1024
"""Probes each end sends. Against 128 sockets and a NAT that draws from all ports 7 attempts of 8 find a hole."""

BATCH: Final = 10
EVERY: Final = 0.1
"""Probes sent at one time, and the seconds until the next."""

LEAD: Final = 1.0
"""Seconds by which the sockets are opened before their ports are guessed."""

GIVE_UP: Final = LEAD + PROBES / BATCH * EVERY + 2.0
"""Seconds after which no answer is to be expected."""

REST: Final = 3600.0
"""Seconds until the same node, or host, is probed so again."""

PLACES: Final = 128
"""Places that may be heard of: as many as the other end has sockets."""

NEAR: Final = 512
"""Of the ports guessed those that lie near where the node was seen."""

REACH: Final = 1024
"""How far from there they may lie."""

LOWEST, HIGHEST = 1024, 65535
"""Ports that NATs give (RFC 4787 §4.2.2)."""


class State(StrEnum):
    """What came of it between us and a node."""

    OFF = "off"
    UNTRIED = "untried"
    UNDER_WAY = "under_way"
    FAILED = "failed"
    OPENED = "opened"


@dataclass(frozen=True, slots=True)
class Plan:
    """What we do of one attempt."""

    node: NodeId
    host: str
    """The other end's outer host."""
    place: str = ""
    """Where it is, if it is us who open sockets; empty if we guess."""
    ports: tuple[int, ...] = ()
    """What we guess."""


@dataclass(slots=True)
class Birthdays:
    """Whether, and with whom, we may do it."""

    enabled: bool = False
    nat: Callable[[], Nat] = Nat
    """The NAT before us."""
    seen: Callable[[], Sequence[str]] = tuple
    """Where our neighbours see us through it."""
    _rests: dict[str, float] = field(default_factory=dict)
    """Nodes and hosts that are left alone, and until when; oldest first. As there is one attempt at a time, few."""

    def offer(self, node: NodeId, now: float) -> Birthday | None:
        """What to say to a node that may do it with us; None if it may not, not now, or our NAT is none of the two."""
        mapping, seen = self.nat().mapping, [*self.seen()][:MOST_SEEN]
        may = self.enabled and mapping in (Mapping.SYMMETRIC, Mapping.CONE) and seen
        return Birthday(mapping, seen) if may and not self._rests_with(node, now) else None

    def plan(
        self,
        node: NodeId,
        ours: Birthday,
        theirs: Birthday,
        may_probe: Callable[[str], bool],
        random: "Random",
        now: float,
    ) -> Plan | None:
        """What we do, as both said; None if the NATs are no such two, or what it names may not be probed (again)."""
        kinds = (ours.nat, theirs.nat)
        places = [each for each in theirs.seen if may_probe(each) and is_v4(each)]
        if not places or kinds not in ((Mapping.SYMMETRIC, Mapping.CONE), (Mapping.CONE, Mapping.SYMMETRIC)):
            return None
        host = split(places[0])[0]
        if self._rests_with(host, now) or host in hosts(self.seen()):
            # Two behind one address need a NAT that leads back to itself.
            return None
        if ours.nat == Mapping.SYMMETRIC:
            return Plan(node, host, places[0])
        seen = (port for there, port in map(split, places) if there == host)
        return Plan(node, host, ports=guesses(seen, random))

    def begun(self, plan: Plan, now: float) -> None:
        """It is being done: not again for a while."""
        self._rests = {who: until for who, until in self._rests.items() if until > now}
        self._rests |= {plan.node: now + REST, plan.host: now + REST}

    def _rests_with(self, who: str, now: float) -> bool:
        return self._rests.get(who, now) > now


class BirthdayPunch(HolePunch):
    """One attempt."""

    def __init__(self, attempt: Attempt, plan: Plan, now: float) -> None:
        places = (plan.place,) if plan.place else ()
        super().__init__(replace(attempt, by_birthday=True), places, now, room=PLACES)
        self.opens_sockets = bool(plan.place)
        """The other end guesses; it is then us who dial, for one of our sockets has won."""
        self.sent = 0
        self._plan = plan
        self._next = now if self.opens_sockets else now + LEAD
        self._over = now + GIVE_UP

    def deadline(self) -> float | None:
        """When the next probes are due, or all is over."""
        if self.phase is Phase.PROBING and self.sent < PROBES:
            return min(self._next, self._over)
        return None if self.phase is Phase.FAILED else self._over

    def tick(self, now: float) -> list[Effect]:
        """Send what is due."""
        if self.phase is Phase.PROBING and now >= self._over:
            self.phase = Phase.FAILED
        if self.phase is not Phase.PROBING or self.sent >= PROBES or now < self._next:
            return []
        first, self.sent, self._next = self.sent, min(self.sent + BATCH, PROBES), now + EVERY
        if self.opens_sockets:
            self.tallies[self._plan.place].sent = self.sent
            return [SendProbesApart(self._plan.place, self.attempt.number, self.sent - first)]
        guessed = self._plan.ports[first : self.sent]
        return [SendProbe(join(self._plan.host, port), self.attempt.number) for port in guessed]


def guesses(seen: Iterable[int], random: "Random") -> tuple[int, ...]:
    """`PROBES` ports, each once, those near the ones seen first.

    Many a carrier's NAT gives a subscriber one block of ports (RFC 7422), or one port after the other; against one that
    draws from all, any ports are as good as any others.
    """
    near = {port for each in seen for port in range(max(LOWEST, each - REACH), min(HIGHEST, each + REACH) + 1)}
    first = random.sample(sorted(near), min(NEAR, len(near)))
    others = [*set(range(LOWEST, HIGHEST + 1)).difference(first)]
    return (*first, *random.sample(others, PROBES - len(first)))


def hosts(places: Collection[str]) -> set[str]:
    """Hosts of `ip:port`."""
    return {split(each)[0] for each in places}
