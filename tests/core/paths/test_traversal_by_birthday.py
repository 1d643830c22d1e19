"""Traversal by birthday: two nodes agree to it over their session once all else failed, or do not."""

from dataclasses import dataclass, field
from random import Random

import pytest

from pulse.core.effects import AnswerPunch, AskPunch, ExpectProbes, SendProbe, SendProbesApart
from pulse.core.facts import PunchAnswered, PunchAsked
from pulse.core.messages import Birthday, Punch, pack
from pulse.core.paths import birthday, holepunch
from pulse.core.paths.birthday import EVERY, LEAD, PROBES, REST, Birthdays, State
from pulse.core.paths.nat import Mapping, Nat
from pulse.core.paths.news import HoleOpened, Outcome
from pulse.core.paths.traversal import Traversal
from pulse.core.types import NodeId
from tests.authority import node

LOW, HIGH = sorted((node("alice"), node("bob")))
PLACE = "203.0.113.1:41641"
SEEN = ["203.0.113.2:30007", "203.0.113.2:30100"]
HOLE = "203.0.113.2:30042"


@dataclass
class End:
    """One node: its machine, and what it asked for."""

    node: NodeId
    mapping: Mapping
    enabled: bool = True
    machine: Traversal = field(init=False)
    asked: list[AskPunch] = field(default_factory=list)
    answers: list[AnswerPunch] = field(default_factory=list)
    sent: list[SendProbe | SendProbesApart] = field(default_factory=list)
    expected: ExpectProbes = field(default_factory=lambda: ExpectProbes(()))
    holes: list[HoleOpened] = field(default_factory=list)

    def __post_init__(self) -> None:
        places = SEEN if self.mapping is Mapping.SYMMETRIC else [PLACE]
        birthdays = Birthdays(self.enabled, lambda: Nat(self.mapping, 2), lambda: places)
        self.machine = Traversal(self.node, Random(1), lambda: places, lambda: places, lambda _: True, birthdays)

    def take(self, outcomes: list[Outcome]) -> None:
        for each in outcomes:
            match each:
                case AskPunch():
                    self.asked.append(each)
                case AnswerPunch():
                    self.answers.append(each)
                case SendProbe() | SendProbesApart():
                    self.sent.append(each)
                case ExpectProbes():
                    self.expected = each
                case HoleOpened():
                    self.holes.append(each)

    @property
    def attempt(self) -> int:
        return self.expected.attempts[-1].number


@dataclass
class Duet:
    """Both ends and a session between them; no probe of either arrives unless a test says so."""

    asker: End
    other: End
    now: float = 1000.0

    def attempts(self) -> None:
        """There is traffic, so the asker asks, and the other answers."""
        self.run_until_asked()
        question = self.asker.asked.pop(0)
        self.other.take(self.other.machine.punch_asked(PunchAsked(7, self.asker.node, question.body), self.now))
        answer = self.other.answers.pop()
        self.asker.take(self.asker.machine.punch_answered(PunchAnswered(self.other.node, answer.body), self.now))

    def run_until_asked(self) -> None:
        self.asker.take(self.asker.machine.peer_wanted(self.other.node, self.now))
        while not self.asker.asked:
            self.run(1.0)

    def fails_first(self) -> None:
        """The first attempt is one of the usual kind."""
        self.attempts()
        self.run(holepunch.GIVE_UP)
        for end in (self.asker, self.other):
            end.sent.clear()

    def run(self, seconds: float) -> None:
        end_of_time = self.now + seconds
        while True:
            dues = [due for end in (self.asker, self.other) if (due := end.machine.deadline()) is not None]
            if not dues or min(dues) > end_of_time:
                self.now = end_of_time
                return
            self.now = max(self.now, min(dues))
            for end in (self.asker, self.other):
                end.take(end.machine.tick(self.now))


def duet(asker: Mapping, other: Mapping, *, other_enabled: bool = True) -> Duet:
    return Duet(End(LOW, asker), End(HIGH, other, other_enabled))


@pytest.mark.parametrize("asker", [Mapping.SYMMETRIC, Mapping.CONE])
def test_after_a_failure_both_probe_by_birthday_whoever_asks(asker: Mapping) -> None:
    both = duet(asker, Mapping.CONE if asker is Mapping.SYMMETRIC else Mapping.SYMMETRIC)
    both.fails_first()
    both.attempts()
    both.run(birthday.GIVE_UP)

    opens, guesses = sorted((both.asker, both.other), key=lambda end: end.mapping is not Mapping.SYMMETRIC)
    assert {each.address for each in opens.sent} == {PLACE}
    assert sum(each.count for each in opens.sent if isinstance(each, SendProbesApart)) == PROBES
    assert len({each.address for each in guesses.sent}) == len(guesses.sent) == PROBES
    assert both.asker.machine.birthday(HIGH) is both.other.machine.birthday(LOW) is State.FAILED


def test_the_first_attempt_is_of_the_usual_kind() -> None:
    both = duet(Mapping.SYMMETRIC, Mapping.CONE)
    both.attempts()

    assert not any(each.by_birthday for each in both.asker.expected.attempts)
    assert both.asker.machine.birthday(HIGH) is State.UNTRIED


def test_who_has_the_sockets_dials_from_the_one_that_won_whatever_the_ids() -> None:
    both = duet(Mapping.CONE, Mapping.SYMMETRIC)
    both.fails_first()
    both.attempts()
    both.run(LEAD + 1.0)
    number = both.other.attempt
    both.other.take(both.other.machine.probe_received(number, PLACE, echo=False, now=both.now))
    both.asker.take(both.asker.machine.probe_received(number, HOLE, echo=True, now=both.now))

    assert both.other.expected.attempts[-1].by_birthday
    assert both.other.holes == [HoleOpened(LOW, PLACE, number)]
    assert both.other.machine.goes_apart(LOW, PLACE)
    assert both.asker.holes == []
    assert not both.asker.machine.goes_apart(HIGH, HOLE)
    assert both.asker.machine.is_punched(HIGH, HOLE)
    assert both.other.machine.birthday(LOW) is State.OPENED


def test_without_the_other_ends_leave_nobody_does() -> None:
    both = duet(Mapping.SYMMETRIC, Mapping.CONE, other_enabled=False)
    both.fails_first()
    both.attempts()
    both.run(birthday.GIVE_UP)

    assert not any(isinstance(each, SendProbesApart) for each in both.asker.sent)
    assert {each.address for each in both.other.sent} == {*SEEN}
    assert both.other.machine.birthday(LOW) is State.OFF


def test_two_symmetric_nats_are_left_to_relays() -> None:
    both = duet(Mapping.SYMMETRIC, Mapping.SYMMETRIC)
    both.fails_first()
    both.attempts()

    assert not any(each.by_birthday for end in (both.asker, both.other) for each in end.expected.attempts)


def test_for_an_hour_after_that_attempts_are_of_the_usual_kind() -> None:
    both = duet(Mapping.SYMMETRIC, Mapping.CONE)
    both.fails_first()
    both.attempts()
    begun = both.now
    both.run(birthday.GIVE_UP)
    while True:
        both.attempts()
        if both.asker.expected.attempts[-1].by_birthday:
            break
        both.run(holepunch.GIVE_UP)

    assert both.now - begun >= REST


def test_a_question_that_was_slower_than_an_answer_ends_nothing() -> None:
    both = duet(Mapping.CONE, Mapping.SYMMETRIC)
    both.fails_first()
    both.attempts()
    before = both.asker.expected
    late = PunchAsked(8, HIGH, pack(Punch(bytes(16), SEEN)))
    both.asker.take(both.asker.machine.punch_asked(late, both.now))

    assert both.asker.answers[-1] == AnswerPunch(8, None)
    assert both.asker.expected is before
    both.run(birthday.GIVE_UP)
    both.asker.take(both.asker.machine.punch_asked(late, both.now))
    assert both.asker.answers[-1].body is not None


def test_it_is_done_with_one_node_at_a_time() -> None:
    end = End(LOW, Mapping.CONE)
    for number, port in ((1, 2), (2, 3)):
        said = Birthday("symmetric", [f"203.0.113.{port}:30000"])
        body = pack(Punch(bytes([number] * 16), [], said))
        end.take(end.machine.punch_asked(PunchAsked(number, node(str(number)), body), 1000.0))

    assert [each.by_birthday for each in end.expected.attempts] == [True, False]


def test_a_member_that_names_a_third_party_costs_it_no_more_than_that_once() -> None:
    end, now, everyone = End(LOW, Mapping.CONE), 1000.0, 40
    for number in range(everyone):
        body = pack(Punch(bytes([number] * 16), [], Birthday("symmetric", ["198.51.100.9:30000"])))
        end.take(end.machine.punch_asked(PunchAsked(number, node(str(number)), body), now))
        for _ in range(int(birthday.GIVE_UP / EVERY) + 1):
            now += EVERY
            end.take(end.machine.tick(now))

    assert len(end.sent) == PROBES
