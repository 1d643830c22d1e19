"""Begins the scenarios that were asked for with the first test, of whatever folder."""

import pytest

from tests.sim.backstage import lower_curtain, raise_curtain


def pytest_collection_finish(session: pytest.Session) -> None:
    """All tests are known: those of scenarios say which seeds."""
    if session.config.option.collectonly:
        return
    chunks: list[tuple[int, ...]] = [
        item.callspec.params["chunk"]  # type: ignore[misc]  # `params` is of objects; this one is of CHUNKS
        for item in session.items
        if isinstance(item, pytest.Function) and "backstage" in item.fixturenames
    ]
    raise_curtain(session, [seed for chunk in chunks for seed in chunk])


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Whatever was not waited for is not needed."""
    lower_curtain(session)
