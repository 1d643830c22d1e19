"""`pulse token …` and `pulse invite` against a control socket."""

import json

import pytest

from pulse.schemas.tokens import TokenRequest
from pulse.wording import DASH
from tests.api.fake_control import FakeControl
from tests.cli.shell import Shell

TOKEN = "s" * 43


def test_token_alone_shows_the_master_token(shell: Shell, control: FakeControl) -> None:
    assert shell.node("token").out == "m" * 43 + "\n"


def test_a_new_token_is_all_that_goes_to_standard_output(shell: Shell, control: FakeControl) -> None:
    done = shell.node("token", "create", "--ttl", "1h", "--max-uses", "1", "--tag", "db", "--tag", "prod")

    assert done.code == 0
    assert done.out.startswith(TOKEN)
    assert len(done.out.splitlines()) == 1
    assert done.err == "good for 1 hour and one machine\n"
    assert control.asked == [TokenRequest(3600.0, 1, ["db", "prod"], None)]


def test_a_token_without_terms_is_good_until_revoked(shell: Shell, control: FakeControl) -> None:
    done = shell.node("token", "create")

    assert done.err == "good until it is revoked and any number of machines\n"
    assert control.asked == [TokenRequest()]


def test_a_named_token_is_for_one_machine(shell: Shell, control: FakeControl) -> None:
    shell.node("token", "create", "--name", "db-server")

    assert control.asked == [TokenRequest(name="db-server")]

    for name in ("token create", "invite"):
        done = shell.node(*name.split(), "--name", "db-server", "--max-uses", "0")
        assert (done.code, done.err) == (
            2, "error: --max-uses: any number of machines cannot all be called db-server. Leave out one of the two\n"
        )  # fmt: skip


def test_no_limit_means_none_for_tokens_and_invites_alike(shell: Shell, control: FakeControl) -> None:
    for command in (("token", "create"), ("invite",)):
        done = shell.node(*command, "--ttl", "1h", "--max-uses", "0")
        assert done.err == "good for 1 hour and any number of machines\n"
    assert control.asked == [TokenRequest(3600.0, 0)] * 2


@pytest.mark.parametrize("uses", ["-1", "1000001"])
def test_uses_out_of_range_are_refused(shell: Shell, uses: str) -> None:
    done = shell.node("token", "create", f"--max-uses={uses}")

    assert done.code == 2
    assert "--max-uses" in done.err


def test_the_list_shows_no_secret(shell: Shell, control: FakeControl) -> None:
    lines = shell.node("token", "list").out.splitlines()

    assert lines[0].split() == ["TOKEN", "STATE", "USES", "ENDS", "TAGS", "NAME", "USED", "BY"]
    assert lines[1].split() == ["abababababab", "good", "0", "of", "1", "never", "db", DASH, DASH]


def test_a_token_is_revoked_by_its_first_digits(shell: Shell, control: FakeControl) -> None:
    assert shell.node("token", "revoke", "abab").out == "revoked abababababab, used by 0 machines\n"
    assert control.asked == ["abab"]


def test_an_unknown_token_is_told(shell: Shell, control: FakeControl) -> None:
    done = shell.node("token", "revoke", "ff")

    assert done.code == 4
    assert done.err == 'error: no token begins with "ff". See them: pulse token list\n'


def test_what_is_not_said_of_an_invite_is_left_to_the_ca(shell: Shell, control: FakeControl) -> None:
    done = shell.node("invite")

    assert done.out == "pls_eyJh\n"
    assert done.err == "good for 1 hour and one machine\n"
    assert control.asked == [TokenRequest()]


def test_an_invite_takes_terms(shell: Shell, control: FakeControl) -> None:
    done = shell.node("invite", "--ttl", "7d", "--max-uses", "3", "--tag", "cam", "--json")

    assert json.loads(done.out)["invite"] == "pls_eyJh"
    assert control.asked == [TokenRequest(604800.0, 3, ["cam"])]
