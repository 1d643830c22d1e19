"""Watchdog: signs of life come from the loop, twice in the manager's time; what cannot answer is not called alive."""

import asyncio

import pytest

from pulse.services.watchdog import WatchdogService


class Manager:
    def __init__(self, watchdog: float | None) -> None:
        self.watchdog = watchdog
        self.heard: list[str] = []

    def alive(self, status: str) -> None:
        self.heard.append(status)


async def test_a_sign_comes_at_once_and_again_and_says_how_the_mesh_is() -> None:
    manager = Manager(0.01)
    running = asyncio.ensure_future(WatchdogService(manager, lambda: "All well.").run())
    async with asyncio.timeout(30):
        while len(manager.heard) < 3:
            await asyncio.sleep(0.001)
    running.cancel()

    assert set(manager.heard) == {"All well."}


async def test_a_data_plane_that_fails_gives_no_sign_and_ends_the_service() -> None:
    manager = Manager(0.01)

    def broken() -> str:
        raise RuntimeError("no data plane")

    with pytest.raises(RuntimeError):
        await WatchdogService(manager, broken).run()
    assert manager.heard == []
