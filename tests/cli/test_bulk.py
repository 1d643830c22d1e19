"""`pulse bulk` against a control socket."""

import json

from pulse.schemas.bulk import BulkRequest
from tests.api.fake_control import FakeControl
from tests.cli.shell import Shell


def test_those_a_pattern_fits_are_tagged_and_shown(shell: Shell, control: FakeControl) -> None:
    done = shell.node("bulk", "tag:edge", "tag", "infra")

    assert (done.code, done.out) == (0, "4be27a3391c0  relay-01  edge\n1 node tagged\n")
    assert control.asked == [BulkRequest("tag:edge", "tag", "infra")]


def test_a_dry_run_only_says_to_whom(shell: Shell, control: FakeControl) -> None:
    assert shell.node("bulk", "*", "untag", "edge", "--dry-run").out.endswith("1 node would be untagged\n")
    assert json.loads(shell.node("bulk", "*", "untag", "edge", "--dry-run", "--json").out)["done"] is False


def test_nobody_is_revoked_in_numbers_without_a_yes(shell: Shell, control: FakeControl) -> None:
    done = shell.node("bulk", "tag:edge", "revoke")

    assert (done.code, done.out) == (2, "4be27a3391c0  relay-01  edge\n")
    assert "pulse bulk 'tag:edge' revoke --yes" in done.err
    assert control.asked == [BulkRequest("tag:edge", "revoke", dry_run=True)]
    assert shell.node("bulk", "tag:edge", "revoke", "--yes").out.endswith("1 node revoked\n")


def test_what_fits_nobody_is_said(shell: Shell, control: FakeControl) -> None:
    assert shell.node("bulk", "nobody", "tag", "x").code == 4


def test_a_word_that_is_no_change_is_told_those_there_are(shell: Shell, control: FakeControl) -> None:
    done = shell.node("bulk", "*", "feed")

    assert (done.code, control.asked) == (2, [])
    assert 'choose from: "tag", "untag", "revoke"' in done.err.lower()
