"""`pulse groups` against a control socket."""

import json

from pulse.schemas.policy import GroupRequest
from tests.api.fake_acls import OPEN
from tests.api.fake_control import FakeControl
from tests.cli.shell import Shell


def test_groups_are_listed_with_their_members(shell: Shell, control: FakeControl) -> None:
    told = "GROUP  MEMBERS\nops    laptop tag:admin\n"
    assert (shell.node("groups").out, shell.node("groups", "list").out) == (told, told)
    assert json.loads(shell.node("groups", "--json").out) == [{"name": "ops", "members": ["laptop", "tag:admin"]}]

    control.acls.held = OPEN
    assert shell.node("groups").out.startswith("no groups (make one: pulse groups set")


def test_a_group_is_set_whole_and_what_comes_of_it_is_told(shell: Shell, control: FakeControl) -> None:
    shell.environment["SSH_CONNECTION"] = "-"
    done = shell.node("groups", "set", "ops", "laptop", "tag:admin", "--dry-run")

    assert done.out.startswith("would have set group ops\ngained  laptop → db-server")
    assert control.asked == [GroupRequest("ops", ["laptop", "tag:admin"], dry_run=True)]
    assert shell.node("groups", "set", "ops").code == 2


def test_a_group_that_is_used_stays(shell: Shell, control: FakeControl) -> None:
    done = shell.node("groups", "remove", "ops")

    assert (done.code, done.out) == (3, "")
    assert "in use: rule r1" in done.err
