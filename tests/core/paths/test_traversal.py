"""Traversal: two nodes over a relay find the way between their NATs, told as what each hears of the other."""

from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random

import pytest

from pulse.core.effects import AnswerPunch, AskPunch, ExpectProbes, SendProbe
from pulse.core.facts import PunchAnswered, PunchAsked
from pulse.core.messages import Punch, pack
from pulse.core.paths import traversal
from pulse.core.paths.holepunch import GIVE_UP, SCHEDULE
from pulse.core.paths.news import HoleOpened, Outcome
from pulse.core.paths.traversal import ASKED_BURST, HOST_BURST, HOST_RATE, MOST, RECENT, RETRIES, Traversal
from pulse.core.types import NodeId
from tests.authority import node

LOW, HIGH = sorted((node("alice"), node("bob")))
THERE = {LOW: "203.0.113.1:41641", HIGH: "203.0.113.2:41641"}
STRAY = "203.0.113.2:50001"
FORBIDDEN = "127.0.0.1:443"


@dataclass
class End:
    """One node: its machine, and what it asked for."""

    node: NodeId
    machine: Traversal = field(init=False)
    asked: list[AskPunch] = field(default_factory=list)
    answers: list[AnswerPunch] = field(default_factory=list)
    sent: list[tuple[float, SendProbe]] = field(default_factory=list)
    expected: tuple[int, ...] = ()
    holes: list[HoleOpened] = field(default_factory=list)

    def __post_init__(self) -> None:
        own = (THERE[self.node],)
        self.machine = Traversal(self.node, Random(1), lambda: own, lambda: own, lambda each: each != FORBIDDEN)

    def take(self, outcomes: list[Outcome], now: float) -> None:
        for each in outcomes:
            match each:
                case AskPunch():
                    self.asked.append(each)
                case AnswerPunch():
                    self.answers.append(each)
                case SendProbe():
                    self.sent.append((now, each))
                case ExpectProbes(attempts):
                    self.expected = tuple(attempt.number for attempt in attempts)
                case HoleOpened():
                    self.holes.append(each)


@dataclass
class Duet:
    """Both ends, a session between them, and the NATs: `passes` says which probes get through."""

    passes: Callable[[NodeId, str], bool] = lambda _sender, _address: True
    now: float = 1000.0
    low: End = field(default_factory=lambda: End(LOW))
    high: End = field(default_factory=lambda: End(HIGH))

    def other(self, end: End) -> End:
        return self.high if end is self.low else self.low

    def wants(self, end: End) -> None:
        end.take(end.machine.peer_wanted(self.other(end).node, self.now), self.now)

    def session_carries(self, end: End) -> None:
        """The oldest question of this end reaches the other, whose answer comes back."""
        asked, other = end.asked.pop(0), self.other(end)
        other.take(other.machine.punch_asked(PunchAsked(7, end.node, asked.body), self.now), self.now)
        answer = other.answers.pop()
        end.take(end.machine.punch_answered(PunchAnswered(other.node, answer.body, "refused"), self.now), self.now)

    def run(self, seconds: float) -> None:
        """Time passes; probes that get through are heard, and answered where they are expected."""
        end_of_time = self.now + seconds
        while True:
            for end in (self.low, self.high):
                self._carry(end)
            dues = [due for end in (self.low, self.high) if (due := end.machine.deadline()) is not None]
            if not dues or min(dues) > end_of_time:
                self.now = end_of_time
                return
            self.now = max(self.now, min(dues))
            for end in (self.low, self.high):
                end.take(end.machine.tick(self.now), self.now)

    def _carry(self, end: End) -> None:
        other = self.other(end)
        for _, probe in [each for each in end.sent if each[0] == self.now]:
            if probe.address == THERE[other.node] and self.passes(end.node, probe.address):
                self._heard(other, probe.attempt, THERE[end.node], echo=False)
                self._heard(end, probe.attempt, THERE[other.node], echo=True)

    def _heard(self, end: End, attempt: int, source: str, *, echo: bool) -> None:
        if attempt in end.expected:
            end.take(end.machine.probe_received(attempt, source, echo=echo, now=self.now), self.now)


def linked(end: End, other: End, now: float) -> None:
    end.take(end.machine.link_opened(other.node, THERE[other.node], now), now)


def test_traffic_makes_both_ends_probe_each_other_and_the_lower_id_dials() -> None:
    duet = Duet()
    duet.wants(duet.high)
    duet.session_carries(duet.high)
    duet.run(1.0)

    assert duet.low.holes == [HoleOpened(HIGH, THERE[HIGH])]
    assert duet.high.holes == []
    assert duet.low.machine.is_punched(HIGH, THERE[HIGH])
    assert duet.high.machine.is_punched(LOW, THERE[LOW])


def test_who_answers_probes_at_once_and_before_it_says_so() -> None:
    duet = Duet(passes=lambda *_: False)
    duet.wants(duet.low)
    asked = duet.low.asked.pop()
    outcomes = duet.high.machine.punch_asked(PunchAsked(7, LOW, asked.body), duet.now)

    kinds = [type(each) for each in outcomes]
    assert kinds == [ExpectProbes, SendProbe, AnswerPunch]


def test_questions_that_cross_make_one_attempt() -> None:
    duet = Duet()
    duet.wants(duet.low)
    duet.wants(duet.high)
    # The higher one's question arrives while the lower one's is on its way: it is turned down.
    duet.session_carries(duet.high)
    duet.session_carries(duet.low)
    duet.run(1.0)

    assert duet.low.expected == duet.high.expected
    assert duet.low.holes == [HoleOpened(HIGH, THERE[HIGH])]


def test_what_fails_is_tried_again_after_growing_pauses_while_there_is_traffic() -> None:
    duet = Duet(passes=lambda *_: False)
    duet.wants(duet.low)
    pauses = []
    for _ in range(len(RETRIES) + 1):
        duet.session_carries(duet.low)
        began = duet.now
        duet.run(GIVE_UP)
        report = duet.low.machine.report(HIGH)
        assert report is not None
        assert report.next_try is not None
        pauses.append(report.next_try - began - GIVE_UP)
        assert report.last_error == "no probe got through"
        duet.run(report.next_try - duet.now)

    assert pauses == pytest.approx([*RETRIES, RETRIES[-1]])
    duet.session_carries(duet.low)
    duet.run(RECENT + RETRIES[-1])
    assert duet.low.machine.deadline() is None


def test_a_node_that_does_not_answer_is_asked_again_and_the_reason_is_kept() -> None:
    duet = Duet()
    duet.wants(duet.low)
    duet.low.take(duet.low.machine.punch_answered(PunchAnswered(HIGH, None, "no answer"), duet.now), duet.now)

    report = duet.low.machine.report(HIGH)
    assert report is not None
    assert (report.last_error, report.next_try, report.failures) == ("no answer", duet.now + RETRIES[0], 1)


def test_with_a_link_nobody_is_asked_and_without_it_at_once_again() -> None:
    duet = Duet()
    linked(duet.low, duet.high, duet.now)
    duet.wants(duet.low)
    assert duet.low.asked == []

    duet.low.take(duet.low.machine.link_closed(HIGH, duet.now), duet.now)
    assert [each.node for each in duet.low.asked] == [HIGH]


def test_the_place_where_it_was_met_last_is_tried_first() -> None:
    duet = Duet(passes=lambda *_: False)
    duet.wants(duet.low)
    duet.low.asked.clear()
    duet.low.take(duet.low.machine.link_opened(HIGH, STRAY, duet.now), duet.now)
    duet.low.take(duet.low.machine.link_closed(HIGH, duet.now), duet.now)
    duet.session_carries(duet.low)

    assert [probe.address for _, probe in duet.low.sent] == [STRAY, THERE[HIGH]]


def test_another_address_of_ours_is_worth_an_attempt_at_once() -> None:
    duet = Duet(passes=lambda *_: False)
    duet.wants(duet.low)
    duet.session_carries(duet.low)
    duet.run(GIVE_UP + 1)
    duet.low.take(duet.low.machine.addresses_changed(duet.now), duet.now)

    assert len(duet.low.asked) == 1


def test_places_where_nobody_may_be_dialled_are_not_probed() -> None:
    duet = Duet()
    body = pack(Punch(bytes(16), [FORBIDDEN, THERE[LOW], STRAY]))
    duet.low.take(duet.low.machine.punch_asked(PunchAsked(7, HIGH, body), duet.now), duet.now)

    assert [probe.address for _, probe in duet.low.sent] == [STRAY]


@pytest.mark.parametrize("body", [b"", b"\xc1", pack(Punch(bytes(16), ["x"] * 8))[:-1]], ids=["empty", "bad", "short"])
def test_what_cannot_be_read_is_turned_down(body: bytes) -> None:
    duet = Duet()
    duet.low.take(duet.low.machine.punch_asked(PunchAsked(7, HIGH, body), duet.now), duet.now)

    assert duet.low.answers == [AnswerPunch(7, None)]
    assert duet.low.sent == []


def test_a_node_may_not_have_us_punch_all_the_time() -> None:
    duet = Duet()
    for number in range(3 * ASKED_BURST):
        body = pack(Punch(bytes([number] * 16), [f"198.51.100.{number}:1"]))
        duet.low.take(duet.low.machine.punch_asked(PunchAsked(number, HIGH, body), duet.now), duet.now)

    assert sum(each.body is not None for each in duet.low.answers) == ASKED_BURST


def test_many_nodes_that_name_one_host_do_not_flood_it() -> None:
    duet = Duet()
    for number in range(40):
        ports = [f"203.0.113.2:{50_000 + port}" for port in range(8)]
        body = pack(Punch(bytes([number] * 16), ports))
        asked = PunchAsked(number, node(str(number)), body)
        duet.low.take(duet.low.machine.punch_asked(asked, duet.now), duet.now)
    duet.run(SCHEDULE[5])

    assert 0 < len(duet.low.sent) <= HOST_BURST + HOST_RATE


def test_a_stranger_probe_is_of_no_attempt() -> None:
    duet = Duet()

    assert duet.low.machine.probe_received(4711, STRAY, echo=False, now=duet.now) == []


def test_revoked_nodes_are_not_sought() -> None:
    duet = Duet(passes=lambda *_: False)
    duet.wants(duet.low)
    duet.session_carries(duet.low)
    duet.low.take(duet.low.machine.peers_banished({HIGH}, duet.now), duet.now)

    assert duet.low.expected == ()
    assert duet.low.machine.deadline() is None


def test_only_so_many_are_sought(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(traversal, "MOST", 3)
    duet = Duet()
    for number in range(6):
        duet.low.take(duet.low.machine.peer_wanted(node(str(number)), duet.now), duet.now)

    assert [duet.low.machine.report(node(str(number))) is not None for number in range(6)] == [False] * 3 + [True] * 3
    assert MOST > 3


def test_whoever_is_turned_down_pushes_nobody_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(traversal, "MOST", 3)
    duet = Duet()
    duet.wants(duet.low)
    for number in range(6):
        asked = PunchAsked(number, node(str(number)), b"")
        duet.low.take(duet.low.machine.punch_asked(asked, duet.now), duet.now)

    assert duet.low.machine.report(HIGH) is not None


def test_after_links_that_flap_the_search_goes_on() -> None:
    duet = Duet(passes=lambda *_: False)
    duet.wants(duet.low)
    for _ in range(3 * ASKED_BURST):
        duet.low.asked.clear()
        linked(duet.low, duet.high, duet.now)
        duet.low.take(duet.low.machine.link_closed(HIGH, duet.now), duet.now)

    assert duet.low.machine.deadline() is not None


def test_the_far_end_of_a_websocket_and_places_nobody_may_be_at_are_no_good_places() -> None:
    duet = Duet(passes=lambda *_: False)
    duet.wants(duet.low)
    for place in ("", FORBIDDEN):
        duet.low.asked.clear()
        duet.low.take(duet.low.machine.link_opened(HIGH, place, duet.now), duet.now)
        duet.low.take(duet.low.machine.link_closed(HIGH, duet.now), duet.now)
    duet.session_carries(duet.low)

    assert {probe.address for _, probe in duet.low.sent} == {THERE[HIGH]}
