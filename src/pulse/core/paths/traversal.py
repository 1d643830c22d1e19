"""Which nodes to punch holes to, when, and with whom: the way from a relay to a direct link through NATs.

Whoever has traffic for a node without a link asks it, over their session, to punch together (`holepunch.py`).
Where that fails, and both ends allow it, it is tried by birthday (`birthday.py`). Invariant: for one node there is one
attempt at a time, whoever asked for it; the search goes on while there is traffic; and what a node names is probed only
where anybody may be dialled, and no host more often than `HOST_RATE`, but by birthday.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from itertools import chain
from math import inf
from typing import TYPE_CHECKING, Final

import msgspec

from pulse.core import messages
from pulse.core.addresses import split
from pulse.core.effects import DEBUG, AnswerPunch, AskPunch, Effect, ExpectProbes, Log, SendProbe
from pulse.core.facts import PunchAnswered, PunchAsked
from pulse.core.messages import Birthday, Punch
from pulse.core.paths.birthday import BirthdayPunch, Birthdays, Plan, State
from pulse.core.paths.budget import Tempo
from pulse.core.paths.holepunch import MOST_PLACES, HolePunch, Phase, Tally, attempt_of
from pulse.core.paths.news import HoleOpened, Outcome
from pulse.core.paths.noderecord import NodeRecord
from pulse.core.types import SHORT_ID, NodeId
from pulse.errors import ProtocolError

if TYPE_CHECKING:
    from random import Random

RECENT: Final = 600.0
"""Seconds for which traffic makes a direct link worth an attempt."""

RETRIES: Final = (5.0, 10.0, 20.0, 40.0, 60.0)
"""Seconds until the next attempt, after so many that failed; the last for ever."""

ANSWER: Final = 8.0
"""Seconds a node has to answer: over a session that is yet to be opened, perhaps over several relays."""

MOST: Final = 256
"""Nodes sought; the one whose traffic is the oldest gives way."""

AT_ONCE: Final = 64
"""Attempts under way."""

ASKED_BURST: Final = 4
ASKED_RATE: Final = 1 / 5
"""How often a node may have us punch with it: at once, and then each second."""

HOST_BURST: Final = 40
HOST_RATE: Final = 20.0
"""Probes to one host, whatever its ports, over all nodes that name it: at once, and then each second."""

GOOD_FOR: Final = 86_400.0
"""Seconds for which the place where a node was last met is tried first."""

_decoder = msgspec.msgpack.Decoder(Punch)


@dataclass(slots=True)
class Pursuit:
    """The search for a direct way to one node."""

    node: NodeId
    wanted_until: float = -inf
    failures: int = 0
    """Attempts that failed since the last that did not, or since something changed."""
    next_try: float = inf
    nonce: bytes = b""
    """Of our question that is not answered yet; none while there is no such question."""
    punch: HolePunch | None = None
    """The newest attempt, over or not."""
    last_error: str = ""
    announced: tuple[str, ...] = ()
    """Where its record said it may be reached."""
    good: str = ""
    good_until: float = -inf
    offered: Birthday | None = None
    """What our question that is not answered yet says of birthday probing."""
    birthday: State = State.UNTRIED


@dataclass(frozen=True, slots=True)
class Report:
    """What the newest attempt at a node came to, for people."""

    places: tuple[tuple[str, Tally], ...]
    last_error: str
    failures: int
    next_try: float | None
    """None if nothing is planned: there is a link, or no traffic."""
    wanted_until: float

    def is_wanted(self, now: float) -> bool:
        """True if there was traffic lately."""
        return now < self.wanted_until


@dataclass(slots=True)
class Traversal:
    """All searches of one node."""

    me: NodeId
    random: "Random"
    candidates: Callable[[], Sequence[str]]
    """Where we may be reached."""
    own: Callable[[], Sequence[str]]
    """Places that are surely ours."""
    is_place: Callable[[str], bool]
    """True where anybody may be dialled at."""
    birthdays: Birthdays = field(default_factory=Birthdays)
    _all: dict[NodeId, Pursuit] = field(default_factory=dict)
    """The one whose traffic is the oldest first."""
    _linked: dict[NodeId, int] = field(default_factory=dict)
    """Nodes and how many links there are with each."""
    _asked: Tempo = field(default_factory=lambda: Tempo(ASKED_BURST, ASKED_RATE))
    _replanned: Tempo = field(default_factory=lambda: Tempo(ASKED_BURST, ASKED_RATE))
    """The same for what we begin ourselves because something changed."""
    _hosts: Tempo = field(default_factory=lambda: Tempo(HOST_BURST, HOST_RATE))
    _expected: tuple[int, ...] = ()
    """Attempts the data plane was told."""

    # Facts

    def peer_wanted(self, node: NodeId, now: float) -> list[Outcome]:
        """There is traffic for a node."""
        pursuit = self._pursuit(node, now)
        idle = pursuit.wanted_until < now
        pursuit.wanted_until = now + RECENT
        if idle and node not in self._linked:
            pursuit.failures, pursuit.next_try = 0, min(pursuit.next_try, now)
        return self.tick(now)

    def link_opened(self, node: NodeId, place: str, now: float) -> list[Outcome]:
        """There is a direct link; the node is seen at `place`, empty where that is not the node's own end."""
        self._linked[node] = self._linked.get(node, 0) + 1
        if pursuit := self._all.get(node):
            pursuit.failures, pursuit.next_try, pursuit.nonce, pursuit.last_error = 0, inf, b"", ""
            if place:
                pursuit.good, pursuit.good_until = place, now + GOOD_FOR
        return []

    def link_closed(self, node: NodeId, now: float) -> list[Outcome]:
        """A direct link is gone; without another one the hole may have closed."""
        left = self._linked.pop(node, 0) - 1
        if left > 0:
            self._linked[node] = left
            return []
        return self._again(node, now)

    def record_accepted(self, record: NodeRecord, now: float) -> list[Outcome]:
        """A node says where it may be reached: elsewhere than before, perhaps."""
        pursuit = self._all.get(record.node)
        if pursuit is None or pursuit.announced == record.candidates:
            return []
        pursuit.announced = record.candidates
        return self._again(record.node, now)

    def addresses_changed(self, now: float) -> list[Outcome]:
        """We are somewhere else: nothing that failed before says anything."""
        for node in list(self._all):
            self._plan_now(node, now)
        return self.tick(now)

    def peers_banished(self, nodes: Iterable[NodeId], now: float) -> list[Outcome]:
        """These nodes are revoked."""
        for node in nodes:
            self._all.pop(node, None)
        return [*self._expect(now)]

    def punch_asked(self, fact: PunchAsked, now: float) -> list[Outcome]:
        """A node wants to punch with us: say where we are and begin, unless we were about to ask it ourselves."""
        asked, known = self._read(fact.body), self._all.get(fact.node)
        crossed = known is not None and known.nonce and self.me < fact.node
        # A question that crossed ours and was slower than the answer: for an hour there is no second one.
        engaged = known is not None and self._is_by_birthday(known, now)
        if asked is None or crossed or engaged or fact.node in self._linked or not self._may_begin(fact.node, now):
            return [AnswerPunch(fact.call, None)]
        pursuit = self._pursuit(fact.node, now)
        ours = self.random.randbytes(16)
        pursuit.nonce = b""
        pursuit.next_try = inf
        offer = self._offer(fact.node, now) if asked.birthday else None
        plan = self._plan_birthday(fact.node, offer, asked.birthday, now)
        begun = self._begin(pursuit, asked, asked.nonce + ours, plan, now)
        return [*begun, AnswerPunch(fact.call, self._said(ours, offer if plan else None))]

    def punch_answered(self, fact: PunchAnswered, now: float) -> list[Outcome]:
        """A node answered our question, or did not."""
        pursuit = self._all.get(fact.node)
        if pursuit is None or not pursuit.nonce:
            # Its own question was faster.
            return []
        nonce, pursuit.nonce = pursuit.nonce, b""
        answer = self._read(fact.body) if fact.body is not None else None
        if answer is None:
            self._failed(pursuit, fact.error or "it does not say where it is", now)
            return self.tick(now)
        plan = self._plan_birthday(fact.node, pursuit.offered, answer.birthday, now)
        return self._begin(pursuit, answer, nonce + answer.nonce, plan, now)

    def probe_received(self, attempt: int, source: str, *, echo: bool, now: float) -> list[Outcome]:
        """A probe got through; the first of an attempt shows the way, which the lower id dials."""
        for pursuit in self._all.values():
            punch = pursuit.punch
            if punch is None or punch.attempt.number != attempt:
                continue
            was = punch.phase
            outcomes: list[Outcome] = [*punch.probe_received(source, echo=echo, now=now)]
            if was is Phase.PROBING and punch.phase is Phase.OPEN:
                # Until the link is there, this may have been chance.
                self._plan(pursuit, now)
                outcomes.append(Log("hole opened", DEBUG, {"node": pursuit.node[:SHORT_ID], "address": source}))
                outcomes += self._opened(pursuit, punch, source)
            return outcomes
        return []

    # The machine's face

    def deadline(self) -> float | None:
        """When the next probe, attempt or end of one is due."""
        due = min(chain.from_iterable(map(self._dues, self._all.values())), default=inf)
        return due if due < inf else None

    def tick(self, now: float) -> list[Outcome]:
        """Send what is due, end what has failed, begin anew where there is traffic."""
        outcomes: list[Outcome] = []
        for pursuit in list(self._all.values()):
            if pursuit.punch is not None:
                outcomes += self._probe(pursuit, pursuit.punch, now)
            if pursuit.next_try <= now:
                outcomes += self._ask(pursuit, now)
        return [*self._expect(now), *outcomes]

    # Queries

    def is_punched(self, node: NodeId, place: str) -> bool:
        """True if what leads to that node at `place` is a hole that was punched."""
        pursuit = self._all.get(node)
        return pursuit is not None and pursuit.punch is not None and place in _heard(pursuit.punch)

    def goes_apart(self, node: NodeId, place: str) -> bool:
        """True if a link that we dial to that node at `place` goes through a socket that it has for itself."""
        punch = pursuit.punch if (pursuit := self._all.get(node)) else None
        return isinstance(punch, BirthdayPunch) and punch.opens_sockets and punch.opened == place

    def report(self, node: NodeId) -> Report | None:
        """What the newest attempt came to."""
        pursuit = self._all.get(node)
        if pursuit is None:
            return None
        places = tuple(pursuit.punch.tallies.items()) if pursuit.punch else ()
        next_try = pursuit.next_try if pursuit.next_try < inf else None
        return Report(places, pursuit.last_error, pursuit.failures, next_try, pursuit.wanted_until)

    def birthday(self, node: NodeId) -> State:
        """What came of birthday probing with a node."""
        pursuit = self._all.get(node)
        return State.OFF if not self.birthdays.enabled else pursuit.birthday if pursuit else State.UNTRIED

    # Details

    def _pursuit(self, node: NodeId, now: float) -> Pursuit:
        """That of `node`, as the newest; where there is no room one without traffic gives way, else the oldest."""
        pursuit = self._all.pop(node, None) or Pursuit(node)
        if len(self._all) >= MOST:
            idle = (each.node for each in self._all.values() if each.wanted_until < now)
            del self._all[next(idle, next(iter(self._all)))]
        self._all[node] = pursuit
        return pursuit

    def _read(self, body: bytes | None) -> Punch | None:
        try:
            return messages.unpack(_decoder, body or b"", "punch", messages.MESSAGE_LIMIT)
        except ProtocolError:
            return None

    def _said(self, nonce: bytes, birthday: Birthday | None) -> bytes:
        places = [each for each in self.candidates() if self.is_place(each)][:MOST_PLACES]
        return messages.pack(Punch(nonce, places, birthday))

    def _may_begin(self, node: NodeId, now: float) -> bool:
        under_way = sum(each.punch is not None and not each.punch.is_over(now) for each in self._all.values())
        return under_way < AT_ONCE and self._asked.take(node, now) <= now

    def _ask(self, pursuit: Pursuit, now: float) -> list[Outcome]:
        if pursuit.node in self._linked or pursuit.wanted_until < now:
            pursuit.next_try = inf
            return []
        pursuit.nonce = self.random.randbytes(16)
        # An answer comes in any case; this is for a shell that loses it.
        pursuit.next_try = now + RETRIES[-1]
        # Few need it, so it comes second.
        has_failed = pursuit.punch is not None and pursuit.punch.phase is Phase.FAILED
        pursuit.offered = self._offer(pursuit.node, now) if has_failed else None
        return [AskPunch(pursuit.node, self._said(pursuit.nonce, pursuit.offered))]

    def _begin(self, pursuit: Pursuit, said: Punch, nonces: bytes, plan: Plan | None, now: float) -> list[Outcome]:
        attempt = attempt_of(nonces, self.me, pursuit.node)
        if plan is not None:
            self.birthdays.begun(plan, now)
            pursuit.birthday = State.UNDER_WAY
            pursuit.punch = BirthdayPunch(attempt, plan, now)
            return [Log("birthday probing", DEBUG, {"node": pursuit.node[:SHORT_ID]}), *self.tick(now)]
        good = [pursuit.good] if now < pursuit.good_until else []
        places = tuple(each for each in dict.fromkeys([*good, *said.candidates]) if self._may_probe(each))
        pursuit.punch = HolePunch(attempt, places, now)
        return self.tick(now)

    def _may_probe(self, place: str) -> bool:
        return self.is_place(place) and place not in self.own()

    def _offer(self, node: NodeId, now: float) -> Birthday | None:
        is_busy = any(self._is_by_birthday(each, now) for each in self._all.values())
        return None if is_busy else self.birthdays.offer(node, now)

    def _is_by_birthday(self, pursuit: Pursuit, now: float) -> bool:
        return isinstance(pursuit.punch, BirthdayPunch) and not pursuit.punch.is_over(now)

    def _plan_birthday(self, node: NodeId, ours: Birthday | None, theirs: Birthday | None, now: float) -> Plan | None:
        if ours is None or theirs is None:
            return None
        return self.birthdays.plan(node, ours, theirs, self._may_probe, self.random, now)

    def _opened(self, pursuit: Pursuit, punch: HolePunch, source: str) -> list[Outcome]:
        """The lower id dials, or whoever has the socket that won."""
        if not isinstance(punch, BirthdayPunch):
            return [HoleOpened(pursuit.node, source)] if self.me < pursuit.node else []
        pursuit.birthday = State.OPENED
        return [HoleOpened(pursuit.node, source, punch.attempt.number)] if punch.opens_sockets else []

    def _probe(self, pursuit: Pursuit, punch: HolePunch, now: float) -> list[Outcome]:
        was, by_birthday = punch.phase, isinstance(punch, BirthdayPunch)
        probes = punch.tick(now)
        if was is Phase.PROBING and punch.phase is Phase.FAILED:
            pursuit.birthday = State.FAILED if by_birthday else pursuit.birthday
            self._failed(pursuit, "no probe got through", now)
        return [each for each in probes if by_birthday or not isinstance(each, SendProbe) or self._may_send(each, now)]

    def _may_send(self, probe: SendProbe, now: float) -> bool:
        return self._hosts.take(split(probe.address)[0], now) <= now

    def _failed(self, pursuit: Pursuit, error: str, now: float) -> None:
        pursuit.last_error = error
        self._plan(pursuit, now)

    def _plan(self, pursuit: Pursuit, now: float) -> None:
        pursuit.next_try = now + RETRIES[min(pursuit.failures, len(RETRIES) - 1)]
        pursuit.failures += 1

    def _again(self, node: NodeId, now: float) -> list[Outcome]:
        self._plan_now(node, now)
        return self.tick(now)

    def _plan_now(self, node: NodeId, now: float) -> None:
        pursuit = self._all.get(node)
        if pursuit is None or node in self._linked or pursuit.wanted_until < now:
            return
        busy = pursuit.nonce or (pursuit.punch is not None and pursuit.punch.phase is Phase.PROBING)
        if not busy:
            when = self._replanned.take(node, now)
            pursuit.failures, pursuit.next_try = 0, min(pursuit.next_try, when)

    def _dues(self, pursuit: Pursuit) -> Iterable[float]:
        yield pursuit.next_try
        if pursuit.punch is not None and pursuit.punch.attempt.number in self._expected:
            due = pursuit.punch.deadline()
            yield inf if due is None else due

    def _expect(self, now: float) -> list[Effect]:
        """Tell the data plane which attempts are under way, if others are than it knows."""
        under_way = [each.punch for each in self._all.values() if each.punch and not each.punch.is_over(now)]
        numbers = tuple(each.attempt.number for each in under_way)
        if numbers == self._expected:
            return []
        self._expected = numbers
        return [ExpectProbes(tuple(each.attempt for each in under_way))]


def _heard(punch: HolePunch) -> Iterable[str]:
    return (place for place, tally in punch.tallies.items() if tally.answered or tally.heard)
