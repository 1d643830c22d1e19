"""A node that answers from memory, in a data directory of its own."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.api.fake_control import FakeControl, serving


@pytest.fixture
def data_dir() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="pulse-", dir="/tmp") as name:
        yield Path(name)


@pytest.fixture
def control(data_dir: Path) -> Iterator[FakeControl]:
    with serving(data_dir / "pulse.sock", FakeControl()) as found:
        yield found
