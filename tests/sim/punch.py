"""Attempts at holes, below the core: the question and its answer over the session, and probes as single datagrams.

As `services/traversal.py` and `crates/pulse-dataplane/src/punch.rs` do it. Invariant: each question of the mesh gets
one answer, and probes of attempts that the mesh does not expect cause nothing.
"""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, assert_never

from pulse.core.effects import AnswerPunch, AskPunch, Attempt, ExpectProbes, Punching, SendProbe, SendProbesApart
from pulse.core.facts import ProbeReceived, PunchAnswered, PunchAsked
from pulse.core.paths.traversal import ANSWER
from tests.sim import traffic
from tests.sim.underlay import Flight

if TYPE_CHECKING:
    from tests.sim.daemon import Daemon

MOST = 128
"""Probes each end may send in one attempt."""

AGAIN = 1.0
"""Seconds between two looks whether a session leads to whom we ask by now: what was lost is sent again."""


@dataclass(eq=False, slots=True)
class Punch:
    """What one daemon does for the attempts of its mesh."""

    daemon: "Daemon"
    _expected: dict[int, Attempt] = field(default_factory=dict)
    _sent: dict[int, int] = field(default_factory=dict)
    """Probes of the attempts under way."""
    _heard: set[tuple[int, int, bool]] = field(default_factory=set)
    """Attempt, number and kind of those that came: each counts once."""
    _answers: dict[int, bytes | None] = field(default_factory=dict)
    _calls: int = 0

    def perform(self, effect: Punching) -> None:
        """Do what an attempt asks for."""
        match effect:
            case AskPunch():
                self._ask(effect, self.daemon.world.now + ANSWER)
            case AnswerPunch(call, body):
                self._answers[call] = body
            case ExpectProbes(attempts):
                self._expect(attempts)
            case SendProbe(address, attempt):
                self._probe(address, attempt)
            case SendProbesApart():
                raise AssertionError("birthday probing is off, as nobody turned it on")
            case _:
                assert_never(effect)

    def answers(self, asker: "Daemon", body: bytes) -> bytes | None:
        """A node asks this one to punch; None says no."""
        self._calls += 1
        self.daemon.tell(PunchAsked(self._calls, asker.id, body))
        return self._answers.pop(self._calls)

    # The question

    def _ask(self, asked: AskPunch, until: float) -> None:
        world, target = self.daemon.world, self.daemon.world.daemon_of(asked.node, other_than=self.daemon)
        if target is not None and traffic.meet(self.daemon, target):
            world.after(traffic.latency(self.daemon, target), lambda: self._put(target, asked, until))
        elif world.now + AGAIN < until:
            world.after(AGAIN, lambda: self._ask(asked, until))
        else:
            world.at(until, lambda: self.daemon.tell(PunchAnswered(asked.node, None, "no answer")))

    def _put(self, target: "Daemon", asked: AskPunch, until: float) -> None:
        world = self.daemon.world
        if not target.alive:
            return world.at(until, lambda: self.daemon.tell(PunchAnswered(asked.node, None, "no answer")))
        body = target.punch.answers(self.daemon, asked.body)
        answer = PunchAnswered(asked.node, body, "" if body else "it said no")
        return world.after(traffic.latency(target, self.daemon), lambda: self.daemon.tell(answer))

    # Probes

    def _expect(self, attempts: tuple[Attempt, ...]) -> None:
        self._expected = {each.number: each for each in attempts}
        self._sent = {number: self._sent.get(number, 0) for number in self._expected}
        self._heard = {each for each in self._heard if each[0] in self._expected}

    def _probe(self, address: str, number: int) -> None:
        attempt = self._expected.get(number)
        if attempt is not None and self._sent[number] < MOST:
            self._sent[number] += 1
            self._send(address, attempt, self._sent[number], echo=False)

    def _send(self, address: str, attempt: Attempt, seq: int, *, echo: bool) -> None:
        world, machine = self.daemon.world, self.daemon.machine
        flight = world.underlay.leaves(machine, address, world.now)
        if flight is not None and (seconds := world.arrival(machine, flight.target)) is not None:
            world.after(seconds, lambda: self._arrives(flight, attempt, seq, echo=echo))

    def _arrives(self, flight: Flight, attempt: Attempt, seq: int, *, echo: bool) -> None:
        world = self.daemon.world
        target = world.running(flight.target)
        if target is not None and world.underlay.enters(flight, world.now):
            target.punch.received(attempt, seq, flight.seen, echo=echo)

    def received(self, sent: Attempt, seq: int, source: str, *, echo: bool) -> None:
        """A probe came from `source`; of an attempt of ours it is answered, if its sender knows our half of it."""
        attempt = self._expected.get(sent.number)
        news = sent.number, seq, echo
        if attempt is None or attempt.theirs != sent.ours or news in self._heard:
            return
        self._heard.add(news)
        if not echo:
            self._send(source, attempt, seq, echo=True)
        self.daemon.tell(ProbeReceived(attempt.number, source, echo))
