"""Fixtures with real daemons: `pair` is shared by tests that leave it as it was, `fresh_pair` is one test's own.

Every test here is marked e2e.
"""

from collections.abc import Iterator
from pathlib import Path

import pytest

from pulse.lab.lab import Lab
from tests.e2e.mesh import WITH_STRANGER, Pair, bring_up
from tests.namespace import require_root

HERE = Path(__file__).parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark all tests of this directory."""
    for item in items:
        if HERE in item.path.parents:
            item.add_marker(pytest.mark.e2e)


@pytest.fixture
def lab() -> Iterator[Lab]:
    """Two hosts, a and b, and a cable."""
    require_root()
    with Lab() as built:
        yield built


@pytest.fixture(scope="module")
def pair() -> Iterator[Pair]:
    """A linked CA and member that a module's tests share."""
    require_root()
    with Lab() as built:
        made = bring_up(built)
        yield made
        assert made.errors == []


@pytest.fixture
def fresh_pair(lab: Lab) -> Iterator[Pair]:
    """A linked CA and member of this test's own, which may be harmed."""
    made = bring_up(lab)
    yield made
    assert made.errors == []


@pytest.fixture(scope="module")
def watched() -> Iterator[Pair]:
    """A linked CA and member that log all they do, and a cable from the CA to a host `s` that is no member."""
    require_root()
    with Lab(WITH_STRANGER) as built:
        made = bring_up(built, "--log-level", "debug")
        yield made
        assert made.errors == []
