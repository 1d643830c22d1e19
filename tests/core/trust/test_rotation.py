"""The CA's key is replaced step by step, and no step is taken that would cut off a node that is reached."""

from dataclasses import replace

import pytest

from pulse.core.trust.rotation import ALONE, INTRODUCED, OVERDUE, Rotation, Standing, Step
from tests.authority import NOW, node

SETTLE = 10.0
END = NOW + 1000.0
CA = Standing(node("ca"), reached=True, chain=1, number=0, until=END)
NEAR = Standing(node("near"), reached=True, chain=0, number=0, until=END)
AWAY = Standing(node("away"), reached=False, chain=0, number=0, until=END)
LEARNT = replace(NEAR, chain=1)


def begun(step: Step = Step.INTRODUCING) -> Rotation:
    return Rotation(step, 1, settle=SETTLE, now=0.0)


def looked(rotation: Rotation, nodes: list[Standing], *times: float, wall: float = NOW) -> Step:
    """The step after looks at those times."""
    return [rotation.looked(nodes, now, wall) for now in times][-1]


def test_the_new_key_signs_once_all_who_are_reached_have_believed_it_for_a_while() -> None:
    rotation = begun()
    assert looked(rotation, [CA, NEAR, AWAY], 0.0, INTRODUCED, 100.0) is Step.INTRODUCING
    assert rotation.awaited([CA, NEAR, AWAY], NOW) == [NEAR]
    assert looked(rotation, [CA, LEARNT, AWAY], 101.0) is Step.INTRODUCING
    assert looked(rotation, [CA, NEAR, AWAY], 102.0) is Step.INTRODUCING, "another one came, who knows nothing yet"
    assert looked(rotation, [CA, LEARNT, AWAY], 103.0, 102.9 + INTRODUCED) is Step.INTRODUCING
    assert looked(rotation, [CA, LEARNT, AWAY], 103.0 + INTRODUCED) is Step.RENEWING


def test_a_ca_that_reaches_nobody_waits_for_somebody_but_not_for_ever() -> None:
    rotation = begun()
    assert looked(rotation, [CA, AWAY], 0.0, INTRODUCED, ALONE - 1) is Step.INTRODUCING
    assert rotation.awaited([CA, AWAY], NOW) == []
    assert looked(rotation, [CA, AWAY], ALONE, ALONE + INTRODUCED) is Step.RENEWING


def test_a_ca_without_other_nodes_waits_for_nobody() -> None:
    assert looked(begun(), [CA], 0.0, INTRODUCED) is Step.RENEWING


def test_the_old_key_is_retired_once_nobody_has_a_certificate_under_it_and_all_links_show_others() -> None:
    rotation = begun(Step.RENEWING)
    renewed = [replace(each, number=1) for each in (CA, LEARNT)]
    assert looked(rotation, [*renewed, AWAY], 0.0, SETTLE, 100.0) is Step.RENEWING
    assert rotation.awaited([*renewed, AWAY], NOW) == [AWAY]
    back = replace(AWAY, reached=True, chain=1, number=1)
    assert looked(rotation, [*renewed, back], 101.0, 100.9 + SETTLE) is Step.RENEWING
    assert looked(rotation, [*renewed, back], 101.0 + SETTLE) is Step.RETIRING


def test_a_certificate_that_ended_is_waited_for_no_longer() -> None:
    rotation = begun(Step.RENEWING)
    assert looked(rotation, [AWAY], 0.0, SETTLE, wall=END) is Step.RENEWING
    assert looked(rotation, [AWAY], 20.0, 20.0 + SETTLE, wall=END + 1) is Step.RETIRING


def test_after_a_restore_it_catches_up_with_what_the_mesh_knows() -> None:
    rotation = begun()
    steps = [rotation.looked([CA, NEAR], 0.0, NOW, retired=True) for _ in range(3)]
    assert steps == [Step.RENEWING, Step.RETIRING, Step.RETIRING]


@pytest.mark.parametrize("step", [Step.RETIRING, Step.DONE])
def test_then_there_is_nothing_more_to_wait_for(step: Step) -> None:
    rotation = begun(step)
    assert looked(rotation, [CA, NEAR], 0.0, 1000.0) is step
    assert rotation.awaited([CA, NEAR], NOW) == []


# Those that do not follow


def overdue(rotation: Rotation, nodes: list[Standing]) -> list[Standing]:
    return rotation.overdue(nodes, NOW)


def after(rotation: Rotation, nodes: list[Standing], seconds: float, since: float = 0.0) -> float:
    """It was looked at every second for so long; the time then."""
    for second in range(int(seconds) + 1):
        rotation.looked(nodes, since + second, NOW)
    return since + int(seconds)


def test_who_is_reached_for_hours_and_does_not_follow_is_overdue_and_nobody_else() -> None:
    rotation = begun()
    then = after(rotation, [CA, NEAR, AWAY], OVERDUE - 1)
    assert overdue(rotation, [CA, NEAR, AWAY]) == []
    after(rotation, [CA, NEAR, AWAY], 1, then)
    assert overdue(rotation, [CA, NEAR, AWAY]) == [NEAR]
    assert overdue(rotation, [CA, LEARNT, AWAY]) == []


def test_who_goes_away_now_and_then_is_overdue_as_well() -> None:
    rotation, now = begun(), 0.0
    for _ in range(4):
        now = after(rotation, [CA, NEAR], OVERDUE / 4, now)
        now = after(rotation, [CA, replace(NEAR, reached=False)], 2, now)
    assert overdue(rotation, [CA, NEAR]) == [NEAR]


def test_time_in_which_nobody_looked_counts_for_nothing() -> None:
    rotation = begun()
    looked(rotation, [CA, NEAR], 0.0, OVERDUE, OVERDUE * 2)
    assert overdue(rotation, [CA, NEAR]) == []


def test_each_step_gives_its_own_time_to_follow() -> None:
    rotation = begun()
    then = after(rotation, [CA, NEAR], OVERDUE)
    assert looked(rotation, [CA, LEARNT], then, then + INTRODUCED) is Step.RENEWING
    assert overdue(rotation, [LEARNT]) == []
    after(rotation, [LEARNT, AWAY], OVERDUE, then + INTRODUCED)
    assert overdue(rotation, [LEARNT, AWAY]) == [LEARNT], "it is reached, and renews nothing"


def test_nobody_waits_for_a_node_that_was_given_up() -> None:
    rotation = Rotation(Step.INTRODUCING, 1, settle=SETTLE, now=0.0, without=[NEAR.node])
    other = replace(NEAR, node=node("other"))
    assert rotation.awaited([CA, NEAR, other], NOW) == [other]
    away = replace(NEAR, reached=False)
    assert looked(rotation, [CA, away], 0.0, INTRODUCED) is Step.RENEWING, "nor for it to come back"
    renewed = replace(CA, number=1)
    assert looked(rotation, [renewed, NEAR, AWAY], 10.0, 10.0 + SETTLE) is Step.RENEWING, "the other one is waited for"
    assert looked(rotation, [renewed, NEAR], 100.0, 100.0 + SETTLE) is Step.RETIRING
