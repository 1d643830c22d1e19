"""`pulse ca roles|grant|ungrant` against a control socket."""

import json

from pulse.schemas.roles import RoleRequest
from pulse.wording import DASH
from tests.api.fake_control import KEPT, FakeControl
from tests.cli.shell import Shell


def test_roles_are_a_table(shell: Shell, control: FakeControl) -> None:
    done = shell.node("ca", "roles")

    assert done.code == 0
    assert [line.split() for line in done.out.splitlines()] == [
        ["ROLE", "NODE", "ID", "PROBLEM"],
        ["ca", "relay-01", "4be27a3391c0", DASH],
        ["scribe", "db-server", "9" * 12, DASH],
        ["operator", "laptop", "7" * 12, "revoked"],
    ]


def test_a_role_is_given_and_taken(shell: Shell, control: FakeControl) -> None:
    assert shell.node("ca", "grant", "laptop", "operator").code == 0
    assert json.loads(shell.node("ca", "ungrant", "laptop", "operator", "--json").out)["scribe_epoch"] == 1
    assert control.asked == [RoleRequest("laptop", "operator")] * 2


def test_what_is_refused_says_why(shell: Shell, control: FakeControl) -> None:
    done = shell.node("ca", "ungrant", "db-server", "scribe")
    assert (done.code, done.out, done.err) == (3, "", f"error: {KEPT}\n")
    assert shell.node("ca", "grant", "laptop").code == 2
    king = shell.node("ca", "grant", "laptop", "king")
    assert king.code == 2
    assert 'choose from: "scribe", "operator"' in king.err.lower()
