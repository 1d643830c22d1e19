"""Clock: the time of this machine, read anew each time."""

import time

import pytest

from pulse import clock


def test_the_time_is_that_of_this_machine() -> None:
    before = time.time_ns()
    read = clock.wall()

    assert before / 1e9 <= read <= time.time_ns() / 1e9


def test_a_clock_that_was_set_is_believed_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time, "time", lambda: -1.5)

    assert clock.wall() == -1.5
