"""Waiting for a path, and for its loss."""

import asyncio

import pytest

from pulse.core.types import NodeId
from pulse.services.streams import paths
from pulse.services.streams.paths import Paths
from tests.loopback import PATIENCE

NODE, OTHER = NodeId("ab" * 32), NodeId("cd" * 32)


class Routes:
    """Paths that tests make and take away."""

    def __init__(self, *nodes: NodeId) -> None:
        self.nodes = {*nodes}
        self.paths = Paths(self.nodes.__contains__)

    def come(self, node: NodeId) -> None:
        self.nodes.add(node)
        self.paths.changed()

    def go(self, node: NodeId) -> None:
        self.nodes.discard(node)
        self.paths.changed()


async def test_a_path_that_is_there_costs_no_time() -> None:
    assert await Routes(NODE).paths.wait(NODE)


async def test_one_that_comes_wakes_who_waits_for_it_and_nobody_else() -> None:
    routes = Routes()
    async with asyncio.timeout(PATIENCE), asyncio.TaskGroup() as tasks:
        waiting, other = (tasks.create_task(routes.paths.wait(each)) for each in (NODE, OTHER))
        await asyncio.sleep(0)
        routes.come(NODE)
        assert await waiting
        assert not other.done()
        routes.come(OTHER)
    assert not routes.paths._waiting


async def test_who_waits_for_none_is_told_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(paths, "PATH_WITHIN", 0.02)
    assert not await Routes().paths.wait(NODE)


async def test_a_loss_counts_once_it_lasts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(paths, "PATH_WITHIN", 0.3)
    routes = Routes(NODE)
    async with asyncio.timeout(PATIENCE), asyncio.TaskGroup() as tasks:
        losing = tasks.create_task(routes.paths.wait_lost(NODE))
        for _ in range(3):
            await asyncio.sleep(0.01)
            routes.go(NODE)
            await asyncio.sleep(0.01)
            routes.come(NODE)
        assert not losing.done()
        routes.go(NODE)
        await losing
