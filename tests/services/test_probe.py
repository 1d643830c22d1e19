"""Probe service: what the data plane measured reaches the mesh, and what time it is."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from pulse.core.facts import ClockRead, Fact, LinkSample, LinksSampled
from pulse.core.types import LinkId
from pulse.services import probe
from pulse.services.probe import ProbeService
from tests.fakes import FakeLinks

SAMPLES = (LinkSample(LinkId(1), 0.02, 0.001, 0.0),)


@pytest.fixture(autouse=True)
def no_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """A second is over at once."""
    monkeypatch.setattr(probe, "PERIOD", 0.0)


@contextmanager
def probing(links: FakeLinks) -> Iterator["asyncio.Queue[Fact]"]:
    told = asyncio.Queue[Fact]()
    task = asyncio.ensure_future(ProbeService(links, told.put_nowait).run())
    yield told
    task.cancel()


async def test_figures_are_told_again_and_again() -> None:
    with probing(FakeLinks(samples=SAMPLES)) as told:
        assert isinstance(await told.get(), ClockRead)
        assert [await told.get(), await told.get()] == [LinksSampled(SAMPLES)] * 2


async def test_without_links_only_the_time_is_told() -> None:
    links = FakeLinks()
    with probing(links) as told:
        assert isinstance(await told.get(), ClockRead)
        for _ in range(5):
            await asyncio.sleep(0)
        assert told.empty()

        links.samples = SAMPLES
        assert await told.get() == LinksSampled(SAMPLES)


async def test_the_time_is_told_again_each_minute(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(probe, "CLOCK_EVERY", 3)
    with probing(FakeLinks(samples=SAMPLES)) as told:
        kinds = [type(await told.get()) for _ in range(5)]

    assert kinds == [ClockRead, *[LinksSampled] * 3, ClockRead]
