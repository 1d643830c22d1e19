"""`pulse events`: lines, filters, following, verifying, and what cannot be written."""

import json
import subprocess
import threading

import pytest

from pulse.schemas.events import EventInfo, Events, EventsQuery
from pulse.schemas.journal import JournalCheck
from tests.api.fake_control import FakeControl
from tests.cli.shell import Shell

LINES = [
    "     3  1970-01-01T00:16:40Z  join     laptop          v4=10.100.9.140",
    "     4  1970-01-01T00:16:47Z  path     laptop          link=websocket  via=relay-01",
]


def test_events_are_lines_newest_last(shell: Shell, control: FakeControl) -> None:
    done = shell.node("events")

    assert (done.code, done.out.splitlines(), done.err) == (0, LINES, "")


def test_filters_reach_the_node(shell: Shell, control: FakeControl) -> None:
    shell.node("events", "--type", "join,path", "--node", "cam-*", "--since", "1970-01-01T00:10", "-n", "7")

    assert control.asked[-1] == EventsQuery("join,path", "cam-*", 600.0, None, 7)


def test_json_is_one_object_a_line(shell: Shell, control: FakeControl) -> None:
    assert [json.loads(line)["seq"] for line in shell.node("events", "--json").out.splitlines()] == [3, 4]


def test_text_of_others_does_not_move_the_terminal(shell: Shell, control: FakeControl) -> None:
    control.events.kept = [EventInfo(5, 0.0, "refuse", "9" * 64, "\x1b[2Jx", {"why": "a\nb\x9bc"})]

    (line,) = shell.node("events").out.splitlines()

    assert line.isprintable()
    assert "why=a b" in line


def test_a_journal_that_cannot_be_written_is_told_beside_the_events(shell: Shell, control: FakeControl) -> None:
    control.events.trouble = "cannot write to /data/events: No space left on device.\nSee to the disk."
    done = shell.node("events")

    assert done.out.splitlines() == LINES
    assert "note: nothing can be written at present: cannot write to /data/events: No space left" in done.err
    assert "note: there was no room for 3 events since the node started" in done.err


def test_a_journal_that_holds_is_said_to(shell: Shell, control: FakeControl) -> None:
    assert shell.node("events", "--verify").out == "all 2 entries hold\n"


@pytest.mark.parametrize("flags", [[], ["--json"]])
def test_a_broken_journal_is_an_error_that_names_number_and_time(
    shell: Shell, control: FakeControl, flags: list[str]
) -> None:
    async def verify() -> JournalCheck:
        return JournalCheck(16, 17, "entry 17 was changed", 1000.0)

    control.events.verify = verify  # type: ignore[method-assign]
    done = shell.node("events", "--verify", *flags)

    assert done.code == 1
    assert done.err.startswith(
        "error: entry 17 of this node's journal (written after 1970-01-01T00:16:40Z) is not what pulse wrote: "
        "entry 17 was changed.\n"
    )
    assert bool(done.out) is bool(flags)


def test_follow_goes_on_with_what_is_new(shell: Shell, control: FakeControl) -> None:
    looked = threading.Event()
    answer = control.events.events

    async def events(wanted: EventsQuery) -> Events:
        if wanted.after == 4:
            looked.set()
        return await answer(wanted)

    control.events.events = events  # type: ignore[method-assign]
    command = shell.command("events", "-f", "-n", "0", "--data-dir", str(shell.data_dir))
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=shell.variables()) as following:
        assert following.stdout is not None
        assert looked.wait(30)
        control.events.kept.append(EventInfo(5, 0.0, "down", "9" * 64, "laptop", {}))
        line = following.stdout.readline()
        following.terminate()

    assert line.split() == ["5", "1970-01-01T00:00:00Z", "down", "laptop"]


@pytest.mark.parametrize("flags", [["-n", "1001"], ["--lines=-1"], ["--since", "yesterday"], ["--type", "foo"]])
def test_what_makes_no_sense_is_refused(shell: Shell, control: FakeControl, flags: list[str]) -> None:
    done = shell.node("events", *flags)

    assert (done.code, done.out) == (2, "")
