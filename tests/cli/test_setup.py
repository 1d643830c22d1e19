"""`pulse setup dns` against a control socket."""

import json
import os

import pytest

from pulse.errors import Conflict, SystemRefused
from tests.api.fake_control import FakeControl
from tests.cli.shell import Shell


def test_it_says_who_asks_whom_and_how_to_take_it_back(shell: Shell, control: FakeControl) -> None:
    done = shell.node("setup", "dns")

    assert (done.code, done.out.splitlines()) == (
        0,
        [
            "✓ systemd-resolved asks this node (127.0.0.1:5353) for names under .pulse, on pulse0 alone",
            "Try it: getent hosts <name>.pulse",
            "Told again at every start. Take it back: pulse setup dns --undo",
        ],
    )
    assert shell.node("setup", "dns", "--undo").out == "✓ names under .pulse are asked of this node no more\n"
    assert control.asked == ["set up", "take back"]


def test_what_does_not_help_is_said(shell: Shell, control: FakeControl) -> None:
    control.resolver.problem = "programs here do not ask it"

    assert "note: programs here do not ask it\n" in shell.node("setup", "dns").out


@pytest.mark.parametrize(
    ("refusal", "code"), [(SystemRefused("neither runs here"), 6), (Conflict("this node answers no DNS"), 4)]
)
def test_a_refusal_is_an_error(shell: Shell, control: FakeControl, refusal: Conflict, code: int) -> None:
    control.resolver.refusal = refusal

    done = shell.node("setup", "dns")

    assert (done.code, done.err) == (code, f"error: {refusal}\n")


def test_what_was_not_set_up_cannot_be_taken_back(shell: Shell, control: FakeControl) -> None:
    done = shell.node("setup", "dns", "--undo")

    assert (done.code, "To have it so: pulse setup dns" in done.err) == (4, True)


def test_without_a_node_the_way_to_one_is_named(shell: Shell) -> None:
    done = shell.node("setup", "dns")

    assert (done.code, "Start one: pulse start" in done.err) == (5, True)


@pytest.mark.skipif(os.geteuid() != 0, reason="root alone gets past that it is root")
def test_for_the_whole_machine_the_node_has_to_answer_dns(shell: Shell, control: FakeControl) -> None:
    control.resolver.found = type(control.resolver.found)(False, "", "pulse0", "", "")

    done = shell.node("setup", "dns", "--global")

    assert (done.code, done.err) == (
        4,
        "error: this node answers no DNS.\n"
        "Have it do so: enabled = true under [dns] in its config.toml, then pulse restart\n",
    )


def test_programs_get_json(shell: Shell, control: FakeControl) -> None:
    assert json.loads(shell.node("setup", "dns", "--json").out)["resolver"] == "systemd-resolved"
    assert json.loads(shell.node("setup", "dns", "--undo", "--json").out)["wanted"] is False
