"""`pulse ca rotate`: it asks, it begins, and it says how far it is."""

import json

from tests.api.fake_control import FakeControl
from tests.cli.shell import Shell


def test_a_script_has_to_say_that_it_means_it(shell: Shell, control: FakeControl) -> None:
    done = shell.node("ca", "rotate")
    assert done.code == 2
    assert "--yes" in done.err
    assert control.rotation.told.step == "done"


def test_it_is_shown_how_far_it_is_and_who_is_waited_for(shell: Shell, control: FakeControl) -> None:
    assert "none under way" in shell.node("ca", "rotate", "--status").out
    begun = shell.node("ca", "rotate", "--yes").out
    assert begun == shell.node("ca", "rotate", "--status").out
    for part in ("2 of 3", "replaced 1 times", "it is retired", "laptop", "away", "1970-01-01", "and 2 more", "revoke"):
        assert part in begun
    told = json.loads(shell.node("ca", "rotate", "--status", "--json").out)
    assert (told["step"], told["awaited"][0]["name"]) == ("renewing", "laptop")


def test_a_second_one_is_refused(shell: Shell, control: FakeControl) -> None:
    shell.node("ca", "rotate", "-y")
    done = shell.node("ca", "rotate", "--yes")
    assert (done.code, "replaced already" in done.err) == (4, True)
