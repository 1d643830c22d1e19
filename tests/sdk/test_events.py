"""Events are followed as they happen, and the end of them is said."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from pulse.api.stream import PLACES_HERE
from pulse.calls.names import NameCalls
from pulse.client import Client
from pulse.errors import LinkError
from pulse.schemas.events import EventInfo
from pulse.sdk import Events
from pulse.sdk.pytest import PulseMesh
from tests.loopback import PATIENCE
from tests.sdk.rooms import leaving_nothing


async def test_what_happens_is_told_to_who_follows(pulse_mesh: PulseMesh) -> None:
    async with pulse_mesh.first.connect() as mesh:
        events = mesh.events()
        following = asyncio.ensure_future(_edit(events))
        async with asyncio.timeout(PATIENCE):
            while not following.done():
                for name in ("other", "second"):
                    await mesh.ask(lambda node, name=name: NameCalls(node).set_name(pulse_mesh.second.id, name))  # type: ignore[misc]
                await asyncio.wait([following], timeout=0.2)
        await events.aclose()
        assert [each async for each in events] == []


async def test_who_waits_with_a_limit_waits_again_and_misses_nothing(pulse_mesh: PulseMesh) -> None:
    async with pulse_mesh.first.connect() as mesh, leaving_nothing():
        events = mesh.events()
        for limit in (0.0, 0.3):
            with pytest.raises(TimeoutError):
                await _silence(events, limit)
        await mesh.ask(lambda node: NameCalls(node).set_name(pulse_mesh.second.id, "renamed"))
        await mesh.ask(lambda node: NameCalls(node).set_name(pulse_mesh.second.id, "second"))
        async with asyncio.timeout(PATIENCE):
            named = [event.fields async for event in first_edits(events, 2)]
        assert len(named) == 2
        await events.aclose()


async def _silence(events: Events, limit: float) -> None:
    while True:
        await asyncio.wait_for(anext(events), limit)


async def first_edits(events: Events, count: int) -> AsyncIterator[EventInfo]:
    while count:
        event = await anext(events)
        if event.type == "edit":
            count -= 1
            yield event


async def _edit(events: Events) -> None:
    async for event in events:
        if event.type == "edit":
            return


async def test_one_reader_too_many_is_told_so(pulse_mesh: PulseMesh) -> None:
    async with pulse_mesh.first.connect() as mesh, leaving_nothing():
        readers = [mesh.events() for _ in range(PLACES_HERE)]
        async with asyncio.timeout(PATIENCE):
            for each in readers:
                await each._begin()
            with pytest.raises(
                LinkError, match=r"32 readers follow events on this machine already(.|\n)*End one of them"
            ):
                await anext(mesh.events())
        for each in readers:
            await each.aclose()
        assert (await mesh.ask(Client.status)).node.name == "first"
