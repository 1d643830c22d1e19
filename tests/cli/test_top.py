"""`pulse top` where it cannot be shown."""

from tests.api.fake_control import FakeControl
from tests.cli.shell import Shell


def test_without_a_terminal_it_names_what_programs_use(shell: Shell, control: FakeControl) -> None:
    done = shell.node("top")
    assert done.code == 2
    assert "pulse status --json" in done.err
