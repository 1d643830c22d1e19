"""Begins the scenarios that were asked for with the first test, unless they are under way already."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.sim.backstage import RESULTS, Backstage, Results

_BACKSTAGE = pytest.StashKey[Backstage]()


def pytest_collection_finish(session: pytest.Session) -> None:
    """All tests are known: those of scenarios say which seeds."""
    if session.config.option.collectonly or RESULTS in os.environ:
        return
    seeds: list[int] = [
        item.callspec.params["seed"]  # type: ignore[misc]  # `params` is of objects; this one is of seeds
        for item in session.items
        if isinstance(item, pytest.Function) and "scenarios" in item.fixturenames
    ]
    if seeds:
        session.stash[_BACKSTAGE] = Backstage(seeds)


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Whatever was not waited for is not needed."""
    backstage = session.stash.get(_BACKSTAGE, None)
    if backstage is not None:
        backstage.end()


@pytest.fixture(scope="session")
def scenarios(request: pytest.FixtureRequest) -> Iterator[Results]:
    """What the scenarios tell: those of `make test`, or our own."""
    given = os.environ.get(RESULTS)
    results = Results(Path(given) if given else request.session.stash[_BACKSTAGE].results)
    yield results
    results.close()
