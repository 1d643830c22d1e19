"""Who may command a node."""

import os
import socket

import pytest

from pulse.api import callers
from pulse.api.callers import Caller, caller


@pytest.mark.parametrize(
    ("who", "may"),
    [
        (Caller(0, frozenset({0})), True),
        (Caller(1000, frozenset({1000})), True),
        (Caller(1001, frozenset({1001, 77})), True),
        (Caller(1001, frozenset({1001})), False),
        (Caller(65534, frozenset({65534})), False),
    ],
)
def test_root_the_owner_and_the_group_may(who: Caller, may: bool) -> None:
    assert who.may_command(owner=1000, group=77) is may


def test_without_a_group_on_the_machine_no_group_counts() -> None:
    assert not Caller(1001, frozenset({77})).may_command(owner=1000, group=None)


def test_the_kernel_says_who_we_are() -> None:
    ours, theirs = socket.socketpair(socket.AF_UNIX)
    with ours, theirs:
        assert caller(ours) == Caller(os.geteuid(), frozenset({os.getegid(), *os.getgroups()}), os.getpid())


def test_a_machine_without_the_group_has_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(callers, "GROUP", "no-such-group-here")

    assert callers.group_id() is None
