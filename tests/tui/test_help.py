"""The help names every key there is."""

from pulse.tui.commands import _WRITTEN
from pulse.tui.help import HELP


def test_every_key_that_writes_a_command_is_in_the_help() -> None:
    described = {key for line in HELP.splitlines() for key in line[:13].replace(",", " ").split()}
    assert {key for _, key in _WRITTEN} <= described
