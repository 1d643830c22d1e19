"""FEC service: the losses of each path decide what the data plane sends there."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from pulse.core.effects import Hop
from pulse.core.paths.fec import Protection
from pulse.core.paths.figures import PathSample
from pulse.core.types import LinkId
from pulse.services import fec
from pulse.services.fec import FecService
from tests.authority import node
from tests.fakes import FakeLinks

ALICE = node("alice")
LINK, OTHER = LinkId(1), LinkId(2)


@pytest.fixture(autouse=True)
def no_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """A second is over at once."""
    monkeypatch.setattr(fec, "PERIOD", 0.0)


def sample(reported: float | None, loss: float = 0.0) -> PathSample:
    return PathSample(ALICE, LINK, None, loss, suspect=False, reported=reported)


@asynccontextmanager
async def serving(links: FakeLinks, ways: int = 1) -> AsyncIterator[None]:
    hops = [Hop(link, 1) for link in (LINK, OTHER)][:ways]
    task = asyncio.ensure_future(FecService.offered(links, lambda: {ALICE: hops}).run())
    try:
        for _ in range(10):
            await asyncio.sleep(0)
        yield
    finally:
        task.cancel()


async def test_parity_is_offered_before_anything_is_known() -> None:
    links = FakeLinks()
    async with serving(links):
        assert links.fec == [()]


async def test_what_is_decided_is_set_once() -> None:
    links = FakeLinks(measured=[sample(0.02)])
    async with serving(links):
        assert links.fec == [(), (Protection(ALICE, LINK, 4, False),)]


async def test_the_losses_of_probes_decide_nothing() -> None:
    links = FakeLinks(measured=[sample(None, loss=0.5)])
    async with serving(links):
        assert links.fec == [()]


async def test_a_second_way_is_made_use_of() -> None:
    links = FakeLinks(measured=[sample(0.2)])
    async with serving(links, ways=2):
        assert links.fec == [(), (Protection(ALICE, LINK, 0, True),)]
