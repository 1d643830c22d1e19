"""Probe service: what the data plane measured reaches the mesh."""

import asyncio

import pytest

from pulse.core.facts import Fact, LinkSample, LinksSampled
from pulse.core.types import LinkId
from pulse.services import probe
from pulse.services.probe import ProbeService
from tests.fakes import FakeLinks

SAMPLES = (LinkSample(LinkId(1), 0.02, 0.001, 0.0),)


@pytest.fixture(autouse=True)
def no_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """A second is over at once."""
    monkeypatch.setattr(probe, "PERIOD", 0.0)


async def test_figures_are_told_again_and_again() -> None:
    links, told = FakeLinks(samples=SAMPLES), asyncio.Queue[Fact]()
    task = asyncio.ensure_future(ProbeService(links, told.put_nowait).run())

    assert [await told.get(), await told.get()] == [LinksSampled(SAMPLES)] * 2
    task.cancel()


async def test_without_links_nothing_is_told() -> None:
    links, told = FakeLinks(), asyncio.Queue[Fact]()
    task = asyncio.ensure_future(ProbeService(links, told.put_nowait).run())
    for _ in range(5):
        await asyncio.sleep(0)
    assert told.empty()

    links.samples = SAMPLES
    assert await told.get() == LinksSampled(SAMPLES)
    task.cancel()
