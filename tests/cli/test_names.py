"""`pulse name`, `pulse tag`, `pulse untag` against a control socket."""

import json

from pulse.schemas.names import NameRequest
from tests.api.fake_control import TAKEN, FakeControl
from tests.api.fake_ways import ID
from tests.cli.shell import Shell


def test_a_name_is_given_and_said(shell: Shell, control: FakeControl) -> None:
    done = shell.node("name", "4be2", "relay-01")

    assert (done.code, done.out) == (0, "4be27a3391c0 is relay-01 from now on\n")
    assert control.asked == [NameRequest("4be2", "relay-01")]


def test_a_name_that_is_taken_names_its_holder_and_the_next_step(shell: Shell, control: FakeControl) -> None:
    done = shell.node("name", "4be2", "db-server")

    assert (done.code, done.out, done.err) == (4, "", f"error: {TAKEN}\n")


def test_tags_come_and_go(shell: Shell, control: FakeControl) -> None:
    assert shell.node("tag", "4be2", "infra").out == "relay-01 has the tags edge infra\n"
    assert shell.node("untag", "4be2", "edge").out == "relay-01 has no tags\n"


def test_a_tag_that_is_not_there_is_told(shell: Shell, control: FakeControl) -> None:
    done = shell.node("untag", "4be2", "infra")

    assert (done.code, done.err) == (4, 'error: relay-01 has no tag "infra" (it has: edge)\n')


def test_programs_get_json(shell: Shell, control: FakeControl) -> None:
    for words in (("name", "4be2", "relay-01"), ("tag", "4be2", "infra"), ("untag", "4be2", "edge")):
        told = json.loads(shell.node(*words, "--json").out)
        assert (told["id"], told["name"], told["version"]) == (ID, "relay-01", "1.7")
