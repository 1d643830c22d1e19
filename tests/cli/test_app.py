"""The command line as a whole: help, errors, exit codes, JSON."""

import importlib
import inspect
import json
import os
import re
import shlex
import subprocess

import pytest
from cyclopts import App

from pulse.cli.app import COMMANDS
from tests.api.fake_control import FakeControl
from tests.cli.shell import Shell


def test_help_lists_every_command(shell: Shell) -> None:
    done = shell.pulse("--help")

    assert done.code == 0
    for command in COMMANDS:
        assert f"  {command}: " in done.out
    assert "detached" not in done.out
    titles = [line for line in done.out.splitlines() if re.fullmatch(r"[A-Z][a-z ]+:", line)]
    assert titles == ["Run:", "Look:", "Use:", "Decide:", "Let in:", "Try:", "Help:", "Arguments:", "Parameters:"]


@pytest.mark.parametrize("words", [(), ("acl", "add"), ("ca", "grant"), ("start",)], ids=" ".join)
def test_help_for_programs_has_one_line_for_each_thing(shell: Shell, words: tuple[str, ...]) -> None:
    told = shell.pulse(*words, "--help").out
    _, _, parameters = told.partition("Parameters:\n")

    assert all(line.startswith("  ") for line in parameters.splitlines() if line)
    assert [line for line in told.splitlines() if line != line.rstrip()] == []


@pytest.mark.parametrize("command", [name for name in COMMANDS if name not in {"lab", "demo"}])
def test_every_command_has_help(shell: Shell, command: str) -> None:
    done = shell.pulse(command, "--help")

    assert (done.code, done.err) == (0, "")
    assert done.out.startswith(f"Usage: pulse {command}")


@pytest.mark.parametrize(("command", "place", "summary"), [(name, *said) for name, said in COMMANDS.items()])
def test_the_overview_says_of_a_command_what_its_own_help_begins_with(command: str, place: str, summary: str) -> None:
    module, _, attribute = place.partition(":")
    found = getattr(importlib.import_module(module), attribute)
    told = found.help if isinstance(found, App) else inspect.getdoc(found)

    assert (told or "").partition("\n\n")[0].replace("\n", " ") == summary


def test_help_says_where_a_length_of_time_is_meant_and_where_a_moment(shell: Shell) -> None:
    assert "  --ttl DURATION: " in shell.pulse("invite", "--help").out
    assert "  --at TIME: " in shell.pulse("status", "--help").out


def test_plain_pulse_says_what_to_do_and_makes_nothing(shell: Shell) -> None:
    done = shell.pulse("--data-dir", str(shell.data_dir))

    assert done.code == 4
    assert done.err.startswith(f"error: this machine is in no network yet (nothing in {shell.data_dir}).\n")
    assert "pulse start --ca --scribe" in done.err
    assert "pulse join pls_" in done.err
    assert not shell.data_dir.exists()


def test_a_mistyped_command_is_no_peer(shell: Shell) -> None:
    done = shell.pulse("statsu")

    assert done.code == 2
    assert done.err == (
        'error: no command "statsu". Did you mean: pulse status? (To start a node with a peer, write host:port.)\n'
    )


def test_errors_of_a_node_arrive_whole_with_their_code(shell: Shell, control: FakeControl) -> None:
    done = shell.node("token", "create", "--name", "abc")

    assert done.code == 3
    assert done.out == ""
    assert done.err == (
        "error: this token is too short to be safe (3 characters, 32 needed).\n"
        "Make one on the CA: pulse token create --ttl 1h --max-uses 1\n"
    )


def test_without_a_node_the_sockets_asked_are_named(shell: Shell) -> None:
    done = shell.node("status")

    assert done.code == 5
    assert done.err == (
        f"error: no pulse node is running here (asked {shell.data_dir}/pulse.sock).\nStart one: pulse start\n"
    )


def test_a_reader_that_leaves_is_no_error_worth_words(shell: Shell, control: FakeControl) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer) as gone:
        done = subprocess.run(
            shell.command("ca", "log", "--data-dir", str(shell.data_dir)), stdout=gone, stderr=subprocess.PIPE,
            env=shell.variables(), timeout=60, check=False,
        )  # fmt: skip

    assert (done.returncode, done.stderr) == (1, b"")


def test_what_cannot_be_written_is_told_in_a_line(shell: Shell, control: FakeControl) -> None:
    for command in (["version"], ["status", "--data-dir", str(shell.data_dir), "--json"]):
        with open("/dev/full", "wb") as full:
            done = subprocess.run(
                shell.command(*command),
                stdout=full,
                stderr=subprocess.PIPE,
                env=shell.variables(),
                timeout=60,
                check=False,
            )
        assert (done.returncode, done.stderr) == (
            6,
            b"error: cannot write what there is to tell: No space left on device\n",
        )


def test_a_shell_that_closed_the_output_is_told_nothing(shell: Shell, control: FakeControl) -> None:
    line = shlex.join(shell.command("status", "--data-dir", str(shell.data_dir)))
    for closed, code in ((">&-", 0), (">&- 2>&-", 0)):
        done = subprocess.run(
            ["sh", "-c", f"{line} {closed}"], capture_output=True, env=shell.variables(), timeout=60, check=False
        )
        assert (done.returncode, done.stderr) == (code, b"")


@pytest.mark.parametrize("typed", [("tag", "relay-01", "\udcff"), ("tag", "\udcff", "x"), ("why", "\udcff")])
def test_bytes_that_are_no_text_are_refused(shell: Shell, control: FakeControl, typed: tuple[str, ...]) -> None:
    done = shell.node(*typed)
    assert (done.code, done.out) == (2, "")
    assert "is no text in UTF-8" in done.err


@pytest.mark.parametrize(
    "command",
    [["status"], ["id"], ["cert"], ["token"], ["token", "list"], ["ca", "log", "-n", "1"], ["ca", "log", "--verify"]],
    ids=" ".join,
)
def test_every_read_speaks_json(shell: Shell, control: FakeControl, command: list[str]) -> None:
    done = shell.node(*command, "--json")

    assert (done.code, done.err) == (0, "")
    json.loads(done.out)
