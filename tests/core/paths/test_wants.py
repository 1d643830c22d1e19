"""What is missing is asked for once, of somebody who has it and has time, until it is there."""

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from pulse.core.paths.wants import (
    ANSWER,
    BULK_BURST,
    BULK_RATE,
    LATE,
    MOST_ASKED,
    MOST_SOURCES,
    UNASKED_AHEAD,
    Asking,
    Came,
    Wants,
)
from pulse.core.types import LinkId

A, B, C = LinkId(1), LinkId(2), LinkId(3)


def key(number: int, version: int = 1) -> bytes:
    return number.to_bytes(4) + version.to_bytes(8)


def wants(*held: bytes, most: int = 4096) -> Wants:
    return Wants(4, lambda each: each in held, most)


def asked(looking: Wants, now: float) -> dict[LinkId, list[bytes]]:
    return {each.link: each.keys for each in looking.due(now)}


def test_what_should_come_by_itself_is_given_time() -> None:
    looking = wants()
    looking.announced(key(1), A, 10.0, wait=LATE)
    assert looking.deadline() == 10.0 + LATE
    assert looking.due(10.1) == []
    assert looking.due(10.0 + LATE) == [Asking(A, [key(1)], in_bulk=False)]


def test_what_came_in_time_is_not_asked_for() -> None:
    looking = wants()
    looking.announced(key(1), A, 10.0, wait=LATE)
    looking.arrived(key(1))
    looking.arrived(key(1))
    assert looking.deadline() is None
    assert looking.due(11.0) == []
    held = wants(key(2))
    held.announced(key(2), A, 10.0)
    assert held.due(10.0) == []
    assert len(held) == 0


def test_each_of_those_who_have_it_is_asked_in_turn_and_then_nobody() -> None:
    looking = wants()
    for link in (A, B):
        looking.announced(key(1), link, 0.0)
        looking.announced(key(1), link, 0.0)
    assert asked(looking, 0.0) == {A: [key(1)]}
    assert looking.deadline() == ANSWER
    assert asked(looking, ANSWER) == {B: [key(1)]}
    assert asked(looking, 2 * ANSWER) == {}
    assert len(looking) == 0
    assert looking.deadline() is None


def test_who_names_much_and_never_answers_costs_nothing_while_others_do(monkeypatch: pytest.MonkeyPatch) -> None:
    looking, tried = wants(), 0
    for number in range(4096):
        looking.announced(key(number), A, 0.0)
    looking.due(0.0)

    def ask(*args: object) -> LinkId | None:
        nonlocal tried
        tried += 1
        return Wants._ask(looking, *args)  # type: ignore[arg-type]

    monkeypatch.setattr(looking, "_ask", ask)
    for number in range(5000, 5100):
        looking.announced(key(number), B, 0.1)
        assert asked(looking, 0.1) == {B: [key(number)]}
        looking.answered(B, key(number)[:4], 0.1)
        looking.arrived(key(number))
        assert asked(looking, 0.1) == {}

    assert tried == 100


def test_what_waits_for_a_busy_neighbour_is_asked_of_one_that_has_it_too() -> None:
    looking = wants()
    for number in range(MOST_ASKED + 1):
        looking.announced(key(number), A, 0.0)
    looking.due(0.0)
    looking.announced(key(MOST_ASKED), B, 0.1)

    assert asked(looking, 0.1) == {B: [key(MOST_ASKED)]}


def test_only_so_many_who_have_it_are_remembered() -> None:
    looking = wants()
    for link in range(MOST_SOURCES + 3):
        looking.announced(key(1), LinkId(link), 0.0)
    turns = [asked(looking, turn * ANSWER) for turn in range(MOST_SOURCES + 1)]
    assert [len(each) for each in turns] == [1] * MOST_SOURCES + [0]


def test_much_is_spread_over_those_who_have_it_and_the_rest_waits_for_their_answers() -> None:
    looking = wants()
    for number in range(3 * MOST_ASKED):
        for link in (A, B):
            looking.announced(key(number), link, 0.0)
    first = looking.due(0.0)
    assert {each.link: len(each.keys) for each in first} == {A: MOST_ASKED, B: MOST_ASKED}
    assert not any(each.in_bulk for each in first)
    assert looking.due(0.5) == []
    for each in first[0].keys:
        assert looking.answered(first[0].link, each[:4], 0.6) is Came.ASKED
        looking.arrived(each)
    assert looking.deadline() == 0.6
    assert {link: len(keys) for link, keys in asked(looking, 0.6).items()} == {first[0].link: MOST_ASKED}
    assert looking.answered(A, key(999)[:4], 1.0) is Came.UNASKED
    assert looking.answered(C, key(1)[:4], 1.0) is Came.UNASKED


def test_of_many_some_are_asked_for_at_once_and_the_others_have_their_turns() -> None:
    looking = wants()
    for number in range(3 * BULK_BURST):
        looking.announced(key(number), LinkId(number % 16), 10.0, came=Came.IN_BULK)
    first = looking.due(10.0)
    assert all(each.in_bulk for each in first)
    assert sum(len(each.keys) for each in first) == pytest.approx(BULK_BURST, abs=1)
    half = sum(len(each.keys) for each in looking.due(10.0 + BULK_BURST / BULK_RATE))
    assert half == pytest.approx(BULK_BURST, abs=1)
    looking.announced(key(9999), C, 10.5)
    assert key(9999) in asked(looking, 10.5)[C]


def test_what_comes_unasked_takes_a_turn_of_the_many() -> None:
    looking = wants()
    for number in range(BULK_BURST):
        assert looking.answered(A, key(number)[:4], 10.0) is Came.UNASKED
    for number in range(5):
        looking.announced(key(1000 + number), A, 10.0, came=Came.IN_BULK)
    assert asked(looking, 10.0) == {A: [key(1000)]}
    assert len(asked(looking, 10.0 + 2 / BULK_RATE)[A]) == 2


def test_who_sends_without_end_puts_off_the_turns_for_a_second_at_most() -> None:
    looking = wants()
    for number in range(1000):
        looking.answered(A, key(number)[:4], 10.0)
    looking.announced(key(2000), B, 10.0, came=Came.IN_BULK)
    assert looking.due(10.9) == []
    assert asked(looking, 10.0 + UNASKED_AHEAD + 2 / BULK_RATE) == {B: [key(2000)]}


def test_who_never_answers_is_waited_for_only_so_long() -> None:
    looking = wants()
    for number in range(MOST_ASKED + 1):
        looking.announced(key(number), A, 0.0)
    assert len(asked(looking, 0.0)[A]) == MOST_ASKED
    deadline = looking.deadline()
    assert deadline == ANSWER
    assert asked(looking, ANSWER) == {A: [key(MOST_ASKED)]}


def test_when_a_neighbour_goes_others_are_asked_at_once() -> None:
    looking = wants()
    for link in (A, B):
        looking.announced(key(1), link, 0.0)
    looking.announced(key(2), A, 0.0)
    assert asked(looking, 0.0) == {A: [key(1), key(2)]}
    looking.link_closed(A, 0.1)
    assert asked(looking, 0.1) == {B: [key(1)]}
    assert len(looking) == 1
    looking.arrived(key(1))
    assert len(looking) == 0


def test_two_versions_of_one_record_are_not_asked_of_one_neighbour_at_once() -> None:
    looking = wants()
    looking.announced(key(1, 1), A, 0.0)
    looking.announced(key(1, 2), A, 0.1)
    assert asked(looking, 0.1) == {A: [key(1, 1)]}
    assert looking.answered(A, key(1)[:4], 0.2) is Came.ASKED
    assert asked(looking, 0.1 + ANSWER) == {A: [key(1, 2)]}


def test_one_neighbour_makes_us_look_for_only_so_much() -> None:
    looking = wants(most=5)
    for number in range(9):
        looking.announced(key(number), A, 0.0)
    looking.announced(key(100), B, 0.0)
    assert len(looking) == 6
    looking.arrived(key(0))
    looking.announced(key(101), A, 0.0)
    assert len(looking) == 6


class WantsMachine(RuleBasedStateMachine):
    """Keys come and go; nobody is asked for more than it has, or for what is held."""

    def __init__(self) -> None:
        super().__init__()
        self.held: set[bytes] = set()
        self.wants = Wants(4, self.held.__contains__, 6)
        self.now = 0.0
        self.known: dict[LinkId, set[bytes]] = {}

    @rule(number=st.integers(0, 9), link=st.sampled_from([A, B, C]), wait=st.sampled_from([0.0, LATE]))
    def somebody_names_a_key(self, number: int, link: LinkId, wait: float) -> None:
        if key(number) not in self.held:
            self.known.setdefault(link, set()).add(key(number))
            self.wants.announced(key(number), link, self.now, wait)

    @rule(number=st.integers(0, 9), link=st.sampled_from([A, B, C]))
    def somebody_sends_it(self, number: int, link: LinkId) -> None:
        self.wants.answered(link, key(number)[:4], self.now)
        self.held.add(key(number))
        self.wants.arrived(key(number))

    @rule(number=st.integers(0, 9))
    def it_is_replaced(self, number: int) -> None:
        self.held.discard(key(number))

    @rule(link=st.sampled_from([A, B, C]))
    def somebody_goes(self, link: LinkId) -> None:
        self.known.pop(link, None)
        self.wants.link_closed(link, self.now)

    @rule(seconds=st.floats(0, 3))
    def time_passes(self, seconds: float) -> None:
        self.now += seconds
        for asking in self.wants.due(self.now):
            assert set(asking.keys) <= self.known[asking.link] - self.held
            assert len(asking.keys) == len(set(asking.keys)) <= MOST_ASKED
        deadline = self.wants.deadline()
        assert deadline is None or deadline > self.now

    @invariant()
    def it_is_woken_while_it_looks_for_something(self) -> None:
        assert (self.wants.deadline() is not None) == (len(self.wants) > 0)

    def teardown(self) -> None:
        """In the end everybody was asked."""
        for _ in range(50):
            self.time_passes(3.0)
        assert len(self.wants) == 0


WantsMachine.TestCase.settings = settings(max_examples=60, stateful_step_count=40)
TestWants = WantsMachine.TestCase
