"""Timetables: rules turn by themselves at their moment, and by no clock that may be wrong."""

from dataclasses import dataclass, field

from pulse.core.network.hours import Moment, parse_window
from pulse.core.network.policy import Rule
from pulse.core.network.timetable import MARGIN, SET, HoursTurned, Timetable
from tests.authority import NOW
from tests.core.network.nodes import rule

FLOOR = NOW - 1000.0


@dataclass
class Desk:
    """A timetable, the rules it looks at, and what neighbours say of its clock."""

    rules: list[Rule]
    agrees: bool = True
    timetable: Timetable = field(init=False)

    def __post_init__(self) -> None:
        self.timetable = Timetable(FLOOR, lambda: self.agrees, lambda: self.rules)


def test_a_rule_turns_at_its_moment() -> None:
    desk = Desk([rule("*", "*"), rule("web", "db", expires=NOW + 5.0)])
    assert desk.timetable.deadline() is None
    assert desk.timetable.clock_read(NOW, 100.0) == [HoursTurned()]
    desk.timetable.rules_told(100.0)

    assert desk.timetable.deadline() == 105.0 + MARGIN
    assert desk.timetable.tick(105.0) == []
    assert desk.timetable.tick(105.0 + MARGIN) == [HoursTurned()]
    assert desk.timetable.deadline() is None
    assert not desk.rules[1].applies(desk.timetable.moment(105.0 + MARGIN))

    desk.timetable.rules_told(106.0)
    assert desk.timetable.deadline() is None, "it is over for good"


def test_of_several_rules_the_first_to_turn_counts_and_windows_turn_again() -> None:
    desk = Desk([rule("*", "*", expires=NOW + 1e6), rule("*", "db", window=parse_window("09:00-10:00"))])
    desk.timetable.clock_read(NOW, 0.0)
    moment, turns = 0.0, []
    for _ in range(3):
        desk.timetable.rules_told(moment)
        moment = desk.timetable.deadline() or 0.0
        turns.append((NOW + moment) % 86400 // 60)

    assert turns == [9 * 60, 10 * 60, 9 * 60]


def test_by_a_clock_below_the_floor_or_far_from_the_neighbours_nothing_is_planned() -> None:
    desk = Desk([rule("*", "*", expires=NOW + 5.0)])
    assert desk.timetable.moment(0.0) == Moment(0.0, trusted=False)

    desk.timetable.clock_read(FLOOR - 1.0, 0.0)
    desk.timetable.rules_told(0.0)
    assert (desk.timetable.moment(0.0).trusted, desk.timetable.deadline()) == (False, None)

    desk.timetable.clock_read(NOW, 0.0)
    desk.agrees = False
    assert desk.timetable.clock_judged(0.0) == [HoursTurned()]
    desk.timetable.rules_told(0.0)
    assert (desk.timetable.moment(0.0).trusted, desk.timetable.deadline()) == (False, None)


def test_rules_without_times_are_never_looked_at_again() -> None:
    desk = Desk([rule("*", "*")])

    assert desk.timetable.clock_read(NOW, 0.0) == []
    assert desk.timetable.clock_judged(0.0) == []
    desk.timetable.rules_told(0.0)
    assert desk.timetable.deadline() is None


def test_a_clock_that_says_what_was_known_turns_nothing() -> None:
    desk = Desk([rule("*", "*", expires=NOW + 1e6)])
    desk.timetable.clock_read(NOW, 0.0)
    desk.timetable.rules_told(0.0)

    assert desk.timetable.clock_read(NOW + 50.1, 50.0) == []
    assert desk.timetable.clock_judged(50.0) == []
    assert desk.timetable.clock_read(NOW + 60.0 + 2 * SET, 60.0) == [HoursTurned()]
