"""Probe service: what the data plane measured reaches the mesh, and what time it is."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from pulse.core.facts import ClockRead, Fact, LinkSample, LinksSampled, PeerWanted
from pulse.core.types import LinkId, NodeId
from pulse.net.links import PeerTraffic
from pulse.services import probe
from pulse.services.probe import ProbeService
from tests.authority import node
from tests.fakes import FakeLinks

ALICE, BOB = node("alice"), node("bob")
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
    monkeypatch.setattr(probe, "MINUTE", 3)
    with probing(FakeLinks(samples=SAMPLES)) as told:
        kinds = [type(await told.get()) for _ in range(5)]

    assert kinds == [ClockRead, *[LinksSampled] * 3, ClockRead]


async def test_traffic_that_goes_on_is_told_each_minute_and_silence_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(probe, "MINUTE", 1)
    links = FakeLinks(peers=[exchanged(ALICE, out=1), exchanged(BOB)])
    with probing(links) as told:
        assert [await told.get() for _ in range(2)][1:] == [PeerWanted(ALICE)]
        assert isinstance(await told.get(), ClockRead)
        for minute in range(2, 4):
            links.peers = [exchanged(ALICE, out=1), exchanged(BOB, out=1, back=minute)]
            assert await told_of(told) == PeerWanted(BOB)


async def test_a_node_whose_counters_start_over_has_traffic_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(probe, "MINUTE", 1)
    links = FakeLinks(peers=[exchanged(ALICE, out=9)])
    with probing(links) as told:
        assert await told_of(told) == PeerWanted(ALICE)
        links.peers = []
        for _ in range(4):
            assert isinstance(await told.get(), ClockRead)
        links.peers = [exchanged(ALICE, out=1)]
        assert await told_of(told) == PeerWanted(ALICE)


def exchanged(node: NodeId, out: int = 0, back: int = 0) -> PeerTraffic:
    return PeerTraffic(node, packets_out=out, bytes_out=100 * out, packets_in=back, bytes_in=100 * back)


async def told_of(told: "asyncio.Queue[Fact]") -> Fact:
    """The next thing told that is not the time."""
    while isinstance(fact := await told.get(), ClockRead):
        pass
    return fact
