"""`pulse revoke` against a control socket."""

import json

from pulse.schemas.revoke import RevokeRequest
from tests.api.fake_control import LAST, FakeControl
from tests.api.fake_ways import ID
from tests.cli.shell import Shell


def test_a_node_is_revoked_and_the_way_back_named(shell: Shell, control: FakeControl) -> None:
    done = shell.node("revoke", "--node", "cam-7")

    assert done.code == 0
    assert done.out.splitlines()[0] == "revoked cam-7 (4be27a3391c0)"
    assert "only with a new key" in done.out
    assert control.asked == [RevokeRequest("cam-7")]


def test_the_flag_may_be_left_out(shell: Shell, control: FakeControl) -> None:
    assert shell.node("revoke", "cam-7").code == 0
    assert control.asked == [RevokeRequest("cam-7")]


def test_a_node_without_a_name_is_said_once(shell: Shell, control: FakeControl) -> None:
    assert shell.node("revoke", "--node", ID).out.splitlines()[0] == "revoked 4be27a3391c0"


def test_the_last_ca_takes_force(shell: Shell, control: FakeControl) -> None:
    done = shell.node("revoke", "--node", "relay-01")
    assert (done.code, done.out, done.err) == (3, "", f"error: {LAST}\n")

    forced = shell.node("revoke", "--node", "relay-01", "--force", "--json")
    assert json.loads(forced.out) == {"id": ID, "name": "relay-01", "by": "ca"}
