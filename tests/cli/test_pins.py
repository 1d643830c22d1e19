"""`pulse pin`, `pulse unpin` against a control socket."""

import json

import pytest

from pulse.schemas.pin import PinRequest
from tests.api.fake_control import FakeControl
from tests.api.fake_ways import AWAY
from tests.cli.shell import Shell


@pytest.mark.parametrize("words", [("db-server", "relay-01"), ("db-server", "--via", "relay-01")])
def test_a_node_is_pinned_to_a_neighbour(shell: Shell, control: FakeControl, words: tuple[str, ...]) -> None:
    done = shell.node("pin", *words)

    assert (done.code, done.out) == (0, "db-server is pinned over relay-01\n")
    assert control.asked == [PinRequest("db-server", "relay-01")]


def test_a_node_is_pinned_to_its_own_link(shell: Shell, control: FakeControl) -> None:
    done = shell.node("pin", "db-server", "--direct")

    assert (done.code, done.out) == (0, "db-server is pinned to its own link\n")
    assert control.asked == [PinRequest("db-server", direct=True)]


def test_a_pin_that_cannot_be_followed_now_is_kept_and_says_so(shell: Shell, control: FakeControl) -> None:
    done = shell.node("pin", "db-server", "relay-9")

    assert (done.code, done.out) == (0, f"db-server is pinned over relay-9; {AWAY}\n")


def test_a_pin_is_taken_back(shell: Shell, control: FakeControl) -> None:
    done = shell.node("unpin", "db-server")

    assert (done.code, done.out) == (0, "db-server is reached by the best path again\n")


def test_what_is_not_pinned_cannot_be_unpinned(shell: Shell, control: FakeControl) -> None:
    done = shell.node("unpin", "relay-01")

    assert (done.code, done.err) == (4, "error: relay-01 is not pinned (pinned: db-server). See: pulse status\n")


@pytest.mark.parametrize(
    "words",
    [
        ("db-server",),
        ("db-server", "relay-01", "--direct"),
        ("db-server", "relay-01", "--via", "relay-01"),
        ("db-server", "--via", "relay-01", "--direct"),
    ],
)
def test_one_way_must_be_said(shell: Shell, control: FakeControl, words: tuple[str, ...]) -> None:
    done = shell.node("pin", *words)

    assert (done.code, control.asked) == (2, [])
    assert done.err.startswith("error: pulse pin wants one way: pulse pin db-server <via>, or")
    assert "See the nodes: pulse status" in done.err


def test_programs_get_json(shell: Shell, control: FakeControl) -> None:
    told = json.loads(shell.node("pin", "db-server", "relay-9", "--json").out)
    assert (told["via"], told["followed"], told["problem"]) == ("relay-9", False, AWAY)

    assert json.loads(shell.node("unpin", "db-server", "--json").out)["via"] == ""
