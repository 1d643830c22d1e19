"""`pulse acl test` against a control socket."""

import json

from pulse.schemas.policy import AssertionRef, AssertionRequest
from tests.api.fake_acls import OPEN
from tests.api.fake_control import FakeControl
from tests.cli.shell import Shell


def test_tests_are_listed_and_the_exit_code_says_whether_all_hold(shell: Shell, control: FakeControl) -> None:
    done = shell.node("acl", "test")

    assert done.code == 1
    assert [line.split()[:2] for line in done.out.splitlines()[1:]] == [["t1", "holds"], ["t2", "FAILS"]]
    control.acls.held = OPEN
    assert shell.node("acl", "test").code == 0


def test_tests_come_and_go(shell: Shell, control: FakeControl) -> None:
    done = shell.node("acl", "test", "add", "--from", "tag:dev", "--to", "tag:prod", "--port", "22", "--deny")
    removed = shell.node("acl", "test", "remove", "t1")

    line = "test t1: tag:dev → tag:prod tcp 22 must be denied"
    assert done.out == f"added {line}. The rules see to it, and no edit may break it.\n"
    assert removed.out == f"removed {line}\n"
    asked = AssertionRequest(source="tag:dev", destination="tag:prod", expect="deny", port=22)
    assert control.asked == [asked, AssertionRef(id="t1")]
    assert json.loads(shell.node("acl", "test", "add", "--from", "a", "--to", "b", "--json").out)["test"]["id"] == "t1"


def test_a_port_that_is_none_is_refused_before_anything_is_asked(shell: Shell, control: FakeControl) -> None:
    done = shell.node("acl", "test", "add", "--from", "a", "--to", "b", "--port", "70000")

    assert done.code == 2
    assert '"70000" is no port' in done.err
    assert not control.asked
