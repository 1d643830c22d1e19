"""The doctor on exits: what keeps one from its work, and what is left of a node that is gone."""

from dataclasses import replace
from typing import Any

import pytest

from pulse.core.doctor import examine
from pulse.core.findings import Gravity
from pulse.core.symptoms import Machine, Running, Symptoms
from tests.core.test_doctor import RUNNING, WELL

BROKEN, WARNING = Gravity.BROKEN, Gravity.WARNING
LEFT_FAULTS: list[tuple[dict[str, Any], str, str, Gravity]] = [
    ({"refusing": True, "left": ["routes 28789"]}, "are refused", "pulse stop: they go as without", BROKEN),
    ({"undo_problem": "/d/undo is damaged.\nsysctl net.ipv4.ip_forward", "left": ["?"]}, "undo is", "sysctl", WARNING),
    ({"exit_table": True}, "an exit that is gone left its firewall", "pulse stop --data-dir", WARNING),
    ({"left": ["sysctl net/ipv4/ip_forward"]}, "sysctl net/ipv4/ip_forward", "pulse stop puts it back", WARNING),
]


def findings(machine: Machine, running: Running | None) -> list[tuple[str, str, Gravity]]:
    return [
        (each.what, each.fix, each.gravity)
        for each in examine(Symptoms(machine, running)).findings
        if each.check == "leftovers"
    ]


@pytest.mark.parametrize(("fault", "what", "fix", "gravity"), LEFT_FAULTS)
def test_what_a_node_that_is_gone_left_is_named(fault: dict[str, Any], what: str, fix: str, gravity: Gravity) -> None:
    ((said, to_do, how_bad),) = findings(replace(WELL, holder=0, **fault), None)
    assert (what in said, fix in to_do, how_bad) == (True, True, gravity)


def test_where_all_is_well_nothing_is_said() -> None:
    assert findings(WELL, RUNNING) == findings(WELL, None) == []


EXIT_FAULTS: list[tuple[dict[str, Any], dict[str, Any], str, str]] = [
    ({"forwarding": {4: False, 6: True}}, {}, "does not forward IPv4,", "who turns it off"),
    ({"forwarding": {4: False, 6: False}}, {}, "does not forward IPv4 and IPv6", "who turns it off"),
    ({"exit_table": False}, {}, "firewall of the exit is gone", "nft monitor"),
    ({}, {"exit_problem": "another exit runs on this machine: b.\nStop that one"}, "machine: b.", "Stop that one"),
]
"""Of the machine, of a node that leads out both families, and what is said."""


@pytest.mark.parametrize(("machine", "running", "what", "fix"), EXIT_FAULTS)
def test_what_keeps_an_exit_from_its_work_is_named(
    machine: dict[str, Any], running: dict[str, Any], what: str, fix: str
) -> None:
    exit_machine = replace(WELL, forwarding={4: True, 6: True}, exit_table=True, exit_holder="me")
    exit_node = replace(RUNNING, exit_versions=(4, 6))
    assert examine(Symptoms(exit_machine, exit_node)).is_well

    (found,) = examine(Symptoms(replace(exit_machine, **machine), replace(exit_node, **running))).findings
    assert (found.check, found.gravity) == ("exitnode", BROKEN)
    assert what in found.what
    assert fix in found.fix


def test_an_exit_that_cannot_be_looked_at_is_not_judged() -> None:
    found = examine(Symptoms(WELL, replace(RUNNING, exit_versions=(4,))))
    assert [name for name, _ in found.unseen] == ["exitnode"]
    assert found.is_well
