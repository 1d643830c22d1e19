"""Bootstrap service: what a domain says is told; silence is said once and changes nothing."""

import asyncio
import logging

import pytest

from pulse.core.facts import Fact, RelaysPublished
from pulse.services import bootstrap
from pulse.services.bootstrap import BootstrapService


class World:
    """A domain that says, in turn, what `answers` holds; the last for ever."""

    def __init__(self, *answers: tuple[str, ...] | OSError) -> None:
        self.answers = [*answers]
        self.facts: asyncio.Queue[Fact] = asyncio.Queue()
        self.looks = 0
        self.service = BootstrapService("example.com", self.published, lambda: True, self.facts.put_nowait)

    async def published(self, domain: str) -> tuple[str, ...]:
        assert domain == "example.com"
        self.looks += 1
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, OSError):
            raise answer
        return answer


@pytest.fixture(autouse=True)
def _hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bootstrap, "ALONE_EVERY", 0.001)


async def told(world: World, count: int) -> list[Fact]:
    running = asyncio.ensure_future(world.service.run())
    async with asyncio.timeout(10):
        facts = [await world.facts.get() for _ in range(count)]
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    return facts


async def test_each_look_is_told() -> None:
    world = World(("a:1",), ("b:1",))

    assert await told(world, 2) == [RelaysPublished(("a:1",)), RelaysPublished(("b:1",))]


async def test_silence_is_said_once_and_changes_nothing(caplog: pytest.LogCaptureFixture) -> None:
    silence = OSError("cannot look up _pulse.example.com: no answer")
    with caplog.at_level(logging.WARNING):
        world = World(silence, silence, ("a:1",))
        assert await told(world, 1) == [RelaysPublished(("a:1",))]

    assert world.looks >= 3
    assert [record.message for record in caplog.records] == ["relays of the domain unknown"]


async def test_with_links_nobody_is_asked_every_few_seconds() -> None:
    world = World(("a:1",))
    world.service.is_alone = lambda: False
    assert len(await told(world, 1)) == 1
    await asyncio.sleep(0.05)

    assert world.looks == 1
