"""`pulse ca log`: newest entries, following, verifying."""

import json
import subprocess
import threading

import pytest

from pulse.schemas.journal import JournalCheck, JournalEntry
from tests.api.fake_control import FakeControl
from tests.cli.shell import Shell


def test_the_log_shows_the_newest_entries_oldest_first(shell: Shell, control: FakeControl) -> None:
    lines = shell.node("ca", "log", "-n", "2").out.splitlines()

    assert [line.split()[0] for line in lines] == ["2499", "2500"]
    assert lines[0].split(maxsplit=2)[1:] == ["1970-01-01T00:58:19Z", "token created       id=2499"]


def test_times_are_written_as_people_read_them_and_are_numbers_in_json(shell: Shell, control: FakeControl) -> None:
    control.ca.kept = [JournalEntry(1, 5.0, "token created", {"token": "ab", "expires": 61.0})]

    assert "token=ab  expires=1970-01-01T00:01:01Z" in shell.node("ca", "log").out
    assert json.loads(shell.node("ca", "log", "--json").out)["fields"]["expires"] == 61.0


def test_fifty_entries_are_shown_unless_told(shell: Shell, control: FakeControl) -> None:
    assert len(shell.node("ca", "log").out.splitlines()) == 50


def test_json_is_one_object_a_line(shell: Shell, control: FakeControl) -> None:
    lines = shell.node("ca", "log", "-n", "3", "--json").out.splitlines()

    assert [json.loads(line)["seq"] for line in lines] == [2498, 2499, 2500]


def test_a_journal_that_holds_is_said_to(shell: Shell, control: FakeControl) -> None:
    assert shell.node("ca", "log", "--verify").out == "all 2500 entries hold\n"


@pytest.mark.parametrize("flags", [[], ["--json"]])
def test_a_broken_journal_is_an_error(shell: Shell, control: FakeControl, flags: list[str]) -> None:
    async def verify() -> JournalCheck:
        return JournalCheck(16, 17, "its hash does not fit", 1000.0)

    control.ca.verify = verify  # type: ignore[method-assign]
    done = shell.node("ca", "log", "--verify", *flags)

    assert done.code == 1
    assert done.err.startswith(
        "error: entry 17 of the CA's journal (written after 1970-01-01T00:16:40Z) is not what pulse wrote: "
        "its hash does not fit.\n"
    )
    assert bool(done.out) is bool(flags)


def test_follow_goes_on_with_what_is_new(shell: Shell, control: FakeControl) -> None:
    looked = threading.Event()
    answer = control.ca.entries

    async def entries(after: int, limit: int) -> list[JournalEntry]:
        if after == 2500:
            looked.set()
        return await answer(after, limit)

    control.ca.entries = entries  # type: ignore[method-assign]
    command = shell.command("ca", "log", "-f", "-n", "0", "--data-dir", str(shell.data_dir))
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=shell.variables()) as following:
        assert following.stdout is not None
        assert looked.wait(30)
        control.ca.kept.append(JournalEntry(2501, 9.0, "token revoked", {}))
        line = following.stdout.readline()
        following.terminate()

    assert line.split() == ["2501", "1970-01-01T00:00:09Z", "token", "revoked"]


def test_a_negative_number_of_lines_is_refused(shell: Shell) -> None:
    assert shell.node("ca", "log", "--lines=-1").code == 2
