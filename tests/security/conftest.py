"""Fixtures with real daemons and a scripted rogue. Every test here is marked e2e."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from pulse.lab.lab import Lab
from tests.namespace import require_root
from tests.security.scene import TOGETHER, Scene, infiltrated

HERE = Path(__file__).parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark all tests of this directory."""
    for item in items:
        if HERE in item.path.parents:
            item.add_marker(pytest.mark.e2e)


@pytest.fixture(scope="module")
def scene() -> Iterator[Scene]:
    """A linked pair, and a rogue with a link to the CA, that a module's tests share."""
    require_root()
    with Lab(TOGETHER) as built, infiltrated(built) as made:
        yield made
