"""A shell without a node, and one beside a node that answers from memory."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.api.fake_control import FakeControl, serving
from tests.cli.shell import Shell


@pytest.fixture
def shell(tmp_path: Path) -> Shell:
    return Shell(tmp_path)


@pytest.fixture
def control(shell: Shell) -> Iterator[FakeControl]:
    """A node in the shell's data directory."""
    shell.data_dir.mkdir(mode=0o700)
    with serving(shell.data_dir / "pulse.sock", FakeControl()) as control:
        yield control
