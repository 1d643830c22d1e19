"""A short directory for sockets, whose paths may have 107 bytes only."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.api.fake_control import FakeControl, serving


@pytest.fixture
def place() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="pulse-", dir="/tmp") as name:
        yield Path(name) / "pulse.sock"


@pytest.fixture
def control(place: Path) -> Iterator[FakeControl]:
    with serving(place, FakeControl()) as found:
        yield found
