"""Ledgers opened by a test are closed when it ends."""

from collections.abc import Iterator

import pytest

from tests.store import ledgers


@pytest.fixture(autouse=True)
def _close_ledgers() -> Iterator[None]:
    yield
    while ledgers.OPEN:
        ledgers.OPEN.pop().close()
