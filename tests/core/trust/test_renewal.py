"""When a node asks for its next certificate: spread over a twelfth of its life, more and more urgent, one at a time."""

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pulse.core.trust.renewal import (
    ENDED_PAUSE,
    LEAST_PAUSE,
    LONGEST_PAUSE,
    SHOWN_MOST,
    SPREAD,
    TURN,
    AskAnybody,
    AskCa,
    Effect,
    Phase,
    Renewal,
    spread_of,
)
from tests.authority import NOW, Ca

CA = Ca()
MINE = CA.certificate("a")
NEXT = CA.certificate("a", not_before=NOW + 100, not_after=MINE.not_after + 5_000_000)
LIFE = MINE.not_after - MINE.not_before
END = MINE.not_after


def due(machine: Renewal) -> float:
    deadline = machine.deadline()
    assert deadline is not None
    return deadline


def asking(seed: int = 0) -> Renewal:
    """A machine that has just asked for the first time."""
    machine = Renewal(MINE, Random(seed))
    assert machine.tick(due(machine)) == [AskCa()]
    return machine


@given(st.integers(0, 2**32 - 1))
def test_it_begins_with_a_third_to_a_quarter_of_its_life_left(seed: int) -> None:
    left = END - due(Renewal(MINE, Random(seed)))
    assert LIFE / 4 <= left <= LIFE / 3


def test_nothing_is_asked_before_and_one_request_is_out_at_a_time() -> None:
    machine = Renewal(MINE, Random(1))
    when = due(machine)
    assert machine.tick(when - 1) == []
    assert machine.tick(when) == [AskCa()]
    assert (machine.phase, machine.deadline(), machine.tick(when + 1e6)) == (Phase.ASKING, None, [])


def test_the_next_certificate_begins_a_life_anew() -> None:
    machine = asking()
    machine.renewed(NEXT, END - 1000)
    assert machine.certificate is NEXT
    life = NEXT.not_after - NEXT.not_before
    assert life / 4 <= NEXT.not_after - due(machine) <= life / 3


def test_the_same_certificate_again_counts_as_a_failure() -> None:
    machine = asking()
    machine.renewed(MINE, END - 1000)
    assert END - 1000 + LEAST_PAUSE <= due(machine) <= END - 1000 + 62.5


def test_pauses_double_up_to_an_hour_and_shrink_as_the_end_comes() -> None:
    machine, wall, pauses = asking(), END - LIFE / 3, list[float]()
    while wall < END:
        machine.failed(wall)
        pauses.append(due(machine) - wall)
        wall = due(machine)
        assert machine.tick(wall) in ([AskCa()], [AskAnybody()])
    assert 30 <= pauses[0] <= 60
    assert LONGEST_PAUSE / 2 <= max(pauses) <= LONGEST_PAUSE
    assert pauses[-1] <= 2 * LEAST_PAUSE
    assert min(pauses) >= LEAST_PAUSE


def test_once_it_ended_anybody_is_asked_often_and_for_ever() -> None:
    machine = asking()
    for _ in range(40):
        machine.failed(END + 5)
        wall = due(machine)
        assert LEAST_PAUSE <= wall - END - 5 <= ENDED_PAUSE
        asked: list[Effect] = machine.tick(wall)
        assert asked == [AskAnybody()]


def test_a_revoked_node_asks_once_an_hour() -> None:
    machine = asking()
    machine.revoked(END - 9000)
    assert machine.tick(END - 9000 + LONGEST_PAUSE - 1) == []
    assert machine.tick(END - 9000 + LONGEST_PAUSE) == [AskCa()]


@pytest.mark.parametrize(("life", "spread"), [(90 * 86400.0, SHOWN_MOST), (24.0, 1.0)])
def test_links_are_made_anew_within_a_minute_or_sooner(life: float, spread: float) -> None:
    assert spread_of(CA.certificate("a", not_before=NOW, not_after=NOW + life)) == spread


@pytest.mark.parametrize("leap", [86400.0, 400 * 86400.0])
def test_a_clock_that_leapt_ahead_and_was_set_back_delays_the_next_request_by_an_hour_at_most(leap: float) -> None:
    machine = asking()
    asked = END - LIFE / 4
    machine.failed(asked + leap)
    assert machine.tick(asked) == []
    assert due(machine) <= asked + LONGEST_PAUSE
    assert machine.tick(asked + LONGEST_PAUSE) == [AskCa()]


def test_a_clock_set_back_brings_no_request_before_its_time() -> None:
    machine = Renewal(MINE, Random(1))
    first = due(machine)
    machine.tick(END + 86400)
    machine.failed(END + 86400)
    assert machine.tick(NOW) == []
    assert due(machine) == first


@pytest.mark.parametrize(("nodes", "within"), [(10, 10 * TURN), (10**9, SPREAD * LIFE)])
def test_under_another_ca_key_all_ask_soon_and_one_after_the_other(nodes: int, within: float) -> None:
    times = []
    for seed in range(50):
        machine = Renewal(MINE, Random(seed))
        assert machine.superseded(nodes, NOW) == []
        times.append(due(machine))
        machine.superseded(nodes, NOW + 1)
        assert due(machine) == times[-1], "it is said at every look, and counts once"
    assert NOW <= min(times) < NOW + within / 5
    assert NOW + within * 4 / 5 < max(times) <= NOW + within


def test_the_next_certificate_is_asked_for_in_its_own_time_again() -> None:
    machine = Renewal(MINE, Random(1))
    machine.superseded(1, NOW)
    assert machine.tick(due(machine)) == [AskCa()]
    machine.renewed(NEXT, NOW + 101)
    assert due(machine) > NEXT.not_after - LIFE / 2
    machine.superseded(1, NOW + 200)
    assert due(machine) < NOW + 201
