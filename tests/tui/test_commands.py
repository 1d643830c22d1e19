"""What is typed behind the colon: read, asked about, run; and what is not begun there."""

import inspect
import os
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from types import CodeType, FunctionType

import pytest

from pulse.cli.app import app
from pulse.cli.mistakes import HARMFUL
from pulse.client import API_KEY, API_URL
from pulse.tui.commands import ALONE, FINAL, LOOKING, OF_THE_MACHINE, Command, read, run, written
from tests.api.doors import doors
from tests.api.fake_control import FakeControl
from tests.cli.test_reads import leaves


def test_a_command_is_read_as_a_shell_reads_it() -> None:
    assert read('pulse acl add --note "for reports"') == Command(("acl", "add", "--note", "for reports"), "")


def test_what_nobody_is_led_to_by_a_mistyped_word_is_asked_about_here() -> None:
    harmful = [line for line, _ in leaves(app) if HARMFUL & {*line.split()}]
    begun = [read(f"{line} revoke") for line in harmful if line.split()[0] not in ALONE]

    assert [each for each in begun if not isinstance(each, Command) or not each.question] == []
    assert begun


@pytest.mark.parametrize(
    "text",
    [
        "revoke cam-7",
        "reload",
        "setup dns",
        "setup dns --undo",
        "cert install x",
        "remote-config --node web a=b",
        "restart",
        "restart web",
        "acl remove 2",
        "bulk 'cam-*' revoke",
        "ca rotate",
        "stop",
    ],
)
def test_what_cannot_be_taken_back_is_asked_about(text: str) -> None:
    found = read(text)
    assert isinstance(found, Command)
    assert found.question.endswith("sure?")


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "type a view or a command"),
        ("top", "a terminal of its own"),
        ("--ca", "a terminal of its own"),
        ("logs -f", "leave out -f"),
        ("status --watch", "leave out --watch"),
        ("name 'x", "cannot be read"),
        ("127.0.0.1:7101", "neither a view nor a command"),
        ("pls_abcdef", "neither a view nor a command"),
        ("relay.example.com:443 --tun", "neither a view nor a command"),
    ],
)
def test_what_cannot_be_run_here_says_why(text: str, why: str) -> None:
    found = read(text)
    assert isinstance(found, str)
    assert why in found


def test_status_answers_no_question_but_that_of_a_command_which_has_it() -> None:
    assert read("ca rotate --status") == Command(("ca", "rotate", "--status"), "")
    assert read("revoke cam-7 --status") == Command(
        ("revoke", "cam-7", "--status"), "pulse revoke cam-7 --status: sure?"
    )
    assert read("stop --status", elsewhere=True) == "pulse stop is done on a node's own machine alone: log in there"


def test_of_a_node_elsewhere_nothing_is_done_to_this_machine() -> None:
    assert isinstance(read("setup dns"), Command)
    assert read("setup dns", elsewhere=True) == ("pulse setup is done on a node's own machine alone: log in there")


@pytest.mark.parametrize("name", sorted(dict(leaves())))
def test_elsewhere_only_what_is_asked_of_the_node_is_run(name: str) -> None:
    harmless = {"help", "completion", "config check", "acl check"}
    """They tell about pulse, or about a file that is named."""
    if name not in harmless and not _asks_the_node(name):
        assert isinstance(read(name, elsewhere=True), str)
    if name in ("status", "tag", "cert", "ca roles", "ca log", "config apply", "token list"):
        assert isinstance(read(name, elsewhere=True), Command)


@pytest.fixture(scope="module")
def keyed() -> Iterator[dict[str, str]]:
    """Variables that lead to a node over TCP, with a key that may do all that a key may."""
    with TemporaryDirectory(prefix="pulse-", dir="/tmp") as name, doors(Path(name)) as node:
        host, port = node.address
        yield {**os.environ, API_URL: f"http://{host}:{port}", API_KEY: node.keys["write"]}


@pytest.mark.parametrize(
    "line",
    ["reload", "restart", "remote-config --node a node.log_level=debug", "setup dns", "stop", "api-key list",
     "api-key create x", "api-key revoke x", "ca rotate --yes", "ca grant a operator", "ca ungrant a operator"],
)  # fmt: skip
def test_what_no_key_is_good_for_is_refused_before_anybody_is_asked(keyed: dict[str, str], line: str) -> None:
    done = run(Command(tuple(line.split()), ""), None, keyed)
    assert done.failed
    assert "this is done on the node's own machine alone: log in there (there is no " in done.text
    assert isinstance(read(line, elsewhere=True), str)
    assert isinstance(read("ca rotate --status", elsewhere=True), Command)


def _asks_the_node(name: str) -> bool:
    """True if the function of a command, or one of its module that it calls, connects as the environment says.

    `pulse stop` does, and falls back on this machine where nobody answers.
    """
    command = app
    for word in name.split():
        command = command[word]
    function = command.default_command
    assert isinstance(function, FunctionType)
    module, seen, left = inspect.unwrap(function).__globals__, set(), [function.__code__]
    while left:
        code = left.pop()
        inner = [each for each in code.co_consts if isinstance(each, CodeType)]
        called = [module.get(each) for each in code.co_names if each not in seen]
        seen |= {*code.co_names}
        left += inner + [each.__code__ for each in called if isinstance(each, FunctionType)]
    return "connect" in seen and name != "stop"


def test_it_is_run_about_the_node_that_is_shown(data_dir: Path, control: FakeControl) -> None:
    done = run(Command(("tag", "relay-01", "prod"), ""), data_dir)
    assert (done.failed, done.text) == (False, "relay-01 has the tags edge prod")


def test_who_leaves_waits_for_no_command(data_dir: Path, control: FakeControl) -> None:
    looks = iter((False, True))
    done = run(Command(("ping", "relay-01", "-c", "600"), ""), data_dir, left=lambda: next(looks))
    assert (done.failed, done.text) == (True, "interrupted")


def test_an_error_is_told_as_it_is(data_dir: Path, control: FakeControl) -> None:
    done = run(Command(("untag", "relay-01", "prod"), ""), data_dir)
    assert done.failed
    assert 'has no tag "prod"' in done.text


def test_a_key_writes_a_command_about_the_line_under_the_cursor() -> None:
    assert written("t", ["web"], "nodes") == "tag web "
    assert written("R", ["a b"], "nodes") == "revoke 'a b'"
    assert written("t", ["web"], "events") == ""
    assert written("t", [], "nodes") == ""
    assert written("m", ["1", "r7"], "policy") == "acl move r7 "
    assert written("R", ["db.pulse", "TXT", "a b", "60"], "dns") == "dns remove db.pulse TXT 'a b'"
    assert written("a", ["10.0.0.0/8", "gate"], "routes") == "route approve 10.0.0.0/8 --node gate"


def test_what_it_knows_of_commands_is_so_in_their_tree() -> None:
    tree = dict(leaves())

    assert {*FINAL} <= {*tree}
    assert all(each in tree or each in app for each in (*ALONE, *OF_THE_MACHINE))
    assert {*LOOKING} == {line for line, flags in tree.items() if "--status" in flags}
    gone = {line for line in tree if line.split()[-1] in ("remove", "revoke", "ungrant", "restore", "rotate")}
    assert gone <= {*FINAL}
