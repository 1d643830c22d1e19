"""`pulse api-key …` against a control socket."""

import json

from pulse.schemas.apikeys import ApiKeyRequest
from tests.api.fake_control import FakeControl
from tests.cli.shell import Shell

KEY = "plk_" + "k" * 43


def test_a_new_key_is_all_that_goes_to_standard_output(shell: Shell, control: FakeControl) -> None:
    done = shell.node("api-key", "create", "grafana")

    assert (done.code, done.out) == (0, KEY + "\n")
    assert done.err == "grafana may read, until: pulse api-key revoke grafana\n"
    assert control.asked == [ApiKeyRequest("grafana", "read")]


def test_a_key_that_may_write_is_asked_for(shell: Shell, control: FakeControl) -> None:
    done = shell.node("api-key", "create", "deploy", "--scope", "write", "--json")

    assert json.loads(done.out)["key"] == KEY
    assert control.asked == [ApiKeyRequest("deploy", "write")]


def test_another_scope_is_refused(shell: Shell, control: FakeControl) -> None:
    assert shell.node("api-key", "create", "deploy", "--scope", "admin").code == 2
    assert not control.asked


def test_the_list_shows_no_key(shell: Shell, control: FakeControl) -> None:
    lines = shell.node("api-key", "list").out.splitlines()

    assert lines[0].split() == ["KEY", "NAME", "SCOPE", "MADE"]
    assert lines[1].split()[:3] == ["c0ffee123456", "grafana", "read"]


def test_a_key_is_revoked_by_its_name(shell: Shell, control: FakeControl) -> None:
    assert shell.node("api-key", "revoke", "grafana").out == "revoked grafana (c0ffee123456)\n"


def test_an_unknown_key_is_told(shell: Shell, control: FakeControl) -> None:
    done = shell.node("api-key", "revoke", "ff")

    assert done.code == 4
    assert "See them: pulse api-key list" in done.err
