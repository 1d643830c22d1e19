"""Reload: what can change does and is told, what cannot is named each time, and a mistake changes nothing."""

import asyncio
import logging

import pytest
from msgspec import structs

from pulse.config import Bootstrap, Node, NodeConfig, Remote, Tun
from pulse.errors import ConfigError
from pulse.services.reload import AT_ONCE, ReloadService
from pulse.settings import placed

BEFORE = placed(NodeConfig(Node(data_dir="/d")))
AFTER = structs.replace(
    BEFORE,
    node=structs.replace(BEFORE.node, log_level="debug"),
    bootstrap=Bootstrap(("192.0.2.1:443",)),
    tun=Tun(queues=4),
    remote=Remote(restart=True),
)


class Manager:
    def __init__(self) -> None:
        self.heard: list[str] = []

    def reloading(self) -> None:
        self.heard.append("reloading")

    def ready(self, status: str) -> None:
        self.heard.append("ready")


class World:
    def __init__(self) -> None:
        self.manager, self.done = Manager(), list[str]()
        self.next: NodeConfig | ConfigError = AFTER
        applied = {path: self.applies(path) for path in ("node.log_level", "bootstrap.peers")}
        self.service = ReloadService(BEFORE, self.reread, applied, self.manager)

    def applies(self, path: str):  # type: ignore[no-untyped-def]
        return lambda old, new: self.done.append(f"{path} {old.node.log_level} {new.node.log_level}")

    def reread(self) -> NodeConfig:
        if isinstance(self.next, ConfigError):
            raise self.next
        return self.next


async def test_what_can_change_does_and_the_rest_is_named_until_a_restart() -> None:
    world = World()

    came = await world.service.reload()

    assert sorted(came.changed) == ["bootstrap.peers", "node.log_level", "remote.restart"]
    assert came.later == ["tun.queues"]
    assert sorted(world.done) == ["bootstrap.peers info debug", "node.log_level info debug"]
    assert world.service.config.remote.restart
    assert world.service.config.tun.queues == 1, "still that of the device"
    assert (await world.service.reload()).later == ["tun.queues"]
    assert len(world.done) == 2
    assert world.manager.heard == ["reloading", "ready"] * 2


async def test_a_mistake_changes_nothing_and_the_manager_is_not_left_waiting() -> None:
    world = World()
    world.next = ConfigError("x.toml:3: unknown key node.lisen")

    with pytest.raises(ConfigError, match=r"x\.toml:3"):
        await world.service.reload()
    assert (world.service.config, world.done) == (BEFORE, [])
    assert world.manager.heard == ["reloading", "ready"]


async def test_a_signal_has_the_same_done_and_a_mistake_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    world = World()
    caplog.set_level(logging.INFO)
    running = asyncio.ensure_future(world.service.run())
    world.service.hang_up()
    async with asyncio.timeout(30):
        while not world.done:
            await asyncio.sleep(0)
    world.next = ConfigError("x.toml:3: unknown key node.lisen")
    world.service.hang_up()
    async with asyncio.timeout(30):
        while "settings not reloaded" not in caplog.messages:
            await asyncio.sleep(0)
    running.cancel()

    assert caplog.messages[0] == "settings reloaded"


def test_no_setting_that_is_bound_at_the_start_is_said_to_change_at_once() -> None:
    assert AT_ONCE.isdisjoint({"node.addr", "node.listen", "tun.enabled", "control.socket", "node.data_dir"})
