"""Events are followed as they happen, and the end of them is said."""

import asyncio

import pytest

from pulse.api import stream
from pulse.client import Client
from pulse.errors import LinkError
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
                    await mesh.ask(lambda node, name=name: node.set_name(pulse_mesh.second.id, name))  # type: ignore[misc]
                await asyncio.wait([following], timeout=0.2)
        await events.aclose()
        assert [each async for each in events] == []


async def _edit(events: Events) -> None:
    async for event in events:
        if event.type == "edit":
            return


async def test_one_reader_too_many_is_told_so(pulse_mesh: PulseMesh, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream, "PLACES", 0)
    async with pulse_mesh.first.connect() as mesh, leaving_nothing():
        with pytest.raises(LinkError, match="follow events already"):
            await anext(mesh.events())
        assert (await mesh.ask(Client.status)).node.name == "first"
