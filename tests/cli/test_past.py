"""`pulse status --at`: the table as it was, and what cannot be known."""

import json
from dataclasses import dataclass

import msgspec
import pytest

from pulse.schemas.events import MomentQuery
from pulse.wording import DASH
from tests.api.fake_control import FakeControl
from tests.api.fake_journals import MOMENT
from tests.cli.shell import Shell

AT = "1970-01-01T00:16:50"


def test_the_table_is_drawn_as_it_was(shell: Shell, control: FakeControl) -> None:
    lines = shell.node("status", "--at", AT).out.splitlines()

    assert control.asked == [MomentQuery(1010.0)]
    assert lines[0] == "db-server at 1970-01-01T00:16:50Z: 3 nodes, 0 direct, 1 over a relay, 1 without a path."
    assert lines[2].split() == ["NODE", "ADDRESS", "LINK", "VIA", "SINCE", "ROLES"]
    assert lines[3].split() == ["laptop", "10.100.9.140", "websocket", "relay-01", "1970-01-01T00:16:47Z", "scribe"]
    assert lines[4].split() == ["cam-7", "10.100.77.2", "-", DASH, DASH, DASH]
    assert lines[-1] == "revoked by then: cam-1"


@dataclass(frozen=True)
class Doubt:
    state: str
    words: str


@pytest.mark.parametrize(
    "doubt",
    [
        Doubt("stopped", "db-server had stopped by 1970-01-01T00:16:50Z (at 1970-01-01T00:16:47Z), so it did not see"),
        Doubt("unknown", "It ended without a word between 1970-01-01T00:16:47Z and 1970-01-01T00:17:00Z: it may not"),
    ],
)
def test_what_cannot_be_known_is_said_first(shell: Shell, control: FakeControl, doubt: Doubt) -> None:
    control.events.moment = msgspec.structs.replace(MOMENT, state=doubt.state)

    assert shell.node("status", "--at", AT).out.startswith(doubt.words)


def test_json_has_it_whole(shell: Shell, control: FakeControl) -> None:
    assert json.loads(shell.node("status", "--at", AT, "--json").out) == msgspec.to_builtins(MOMENT)


@pytest.mark.parametrize("flags", [["--watch"], ["--check"]])
def test_looking_back_is_neither_watching_nor_checking(shell: Shell, control: FakeControl, flags: list[str]) -> None:
    assert shell.node("status", "--at", "2h", *flags).code == 2
