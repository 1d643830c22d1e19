"""A default port that another program has costs a warning; one that somebody asked for, the start."""

import pytest

from pulse.assembly.listeners import unless_taken
from pulse.errors import Conflict


def taken() -> str:
    raise Conflict("it cannot listen on :80.\nChoose another")


def test_what_listens_is_there_and_nothing_is_said(caplog: pytest.LogCaptureFixture) -> None:
    assert unless_taken(lambda: "socket", asked=False) == ("socket", "")
    assert caplog.records == []


def test_a_default_port_that_is_taken_is_told_in_one_line(caplog: pytest.LogCaptureFixture) -> None:
    assert unless_taken(taken, asked=False) == (None, "it cannot listen on :80. Choose another")
    assert [record.message for record in caplog.records] == ["default port not listened on"]


def test_a_place_that_was_asked_for_is_an_error() -> None:
    with pytest.raises(Conflict, match="cannot listen"):
        unless_taken(taken, asked=True)
