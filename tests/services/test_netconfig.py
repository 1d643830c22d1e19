"""Config service: gives what is in force to whoever asks, and always tells what came of asking."""

import asyncio
from pathlib import Path

import pytest

from pulse.core.facts import ConfigFetched, Fact
from pulse.core.network.statements import Statements
from pulse.core.types import NodeId
from pulse.errors import LinkError, NotFound
from pulse.services.netconfig import PATIENCE, ConfigService
from tests.services.office import CA, FIRST, HOME, RELAY, Office


class World:
    """A node whose neighbour `relay` answers and `home` does not."""

    def __init__(self, statements: Statements) -> None:
        self.asked: list[tuple[NodeId, str, float]] = []
        self.facts: asyncio.Queue[Fact] = asyncio.Queue()
        self.service = ConfigService(statements, self.call, self.facts.put_nowait)

    async def call(self, who: NodeId, method: str, _: bytes, timeout: float) -> bytes:
        self.asked.append((who, method, timeout))
        if who != RELAY.node_id:
            raise LinkError("no answer")
        return b"signed"


@pytest.fixture
def office(tmp_path: Path) -> Office:
    return Office(tmp_path / "data")


async def test_any_member_gets_the_config_in_force_in_its_exact_bytes(office: Office) -> None:
    assert await World(office.statements).service.get(RELAY.node_id, b"") == FIRST.data


async def test_a_node_without_a_config_says_so() -> None:
    empty = Statements(CA.chain, frozenset, lambda _: None)

    with pytest.raises(NotFound, match="no network config yet"):
        await World(empty).service.get(RELAY.node_id, b"")


async def test_what_a_node_answers_is_told_and_so_is_silence(office: Office) -> None:
    world = World(office.statements)
    running = asyncio.ensure_future(world.service.run())
    world.service.fetch(HOME.node_id)
    world.service.fetch(RELAY.node_id)
    async with asyncio.timeout(10):
        facts = {await world.facts.get(), await world.facts.get()}
    running.cancel()

    assert facts == {ConfigFetched(HOME.node_id, None), ConfigFetched(RELAY.node_id, b"signed")}
    assert world.asked == [(HOME.node_id, "config.get", PATIENCE), (RELAY.node_id, "config.get", PATIENCE)]
    with pytest.raises(asyncio.CancelledError):
        await running
