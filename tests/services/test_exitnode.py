"""The exit's side: firewall before tables, forwarding turned on and put back, also after a crash."""

import asyncio
import contextlib
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import IPv4Network
from pathlib import Path

import pytest

from pulse.core.effects import Owner, RangeServed, TablesChanged
from pulse.net import sysctl
from pulse.services import exitnode
from pulse.services.exitnode import ExitNodeService
from pulse.store import undo
from tests.core.meshing import ALICE, ME
from tests.namespace import inside, ip, namespace

LAN = RangeServed("192.168.7.0/24", "192.168.7.0/24")
V6 = RangeServed("fd18:9::/64", "fd18:9::/64")
FORWARD = "net/ipv4/ip_forward"
FORWARD_V6 = "net/ipv6/conf/all/forwarding"


@dataclass
class World:
    """An exit in a namespace."""

    host: str
    data: Path

    def service(self, mesh: str = "10.100.0.0/16") -> ExitNodeService:
        return ExitNodeService(self.data, ME, lambda: IPv4Network(mesh) if mesh else None, lambda: "pulse0")

    @property
    def tables(self) -> str:
        return self.listed("tables")

    @property
    def ruleset(self) -> str:
        return self.listed("ruleset")

    def flush(self) -> None:
        """As `nft flush` of somebody who tidies up: the table is there, and nothing in it."""
        subprocess.run(["ip", "netns", "exec", self.host, "nft", "flush", "table", "inet", "pulse"], check=True)

    def listed(self, what: str) -> str:
        done = subprocess.run(["ip", "netns", "exec", self.host, "nft", "list", what], check=True, capture_output=True)
        return done.stdout.decode().strip()


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    with namespace() as name, inside(name):
        yield World(name, tmp_path)


def tables(*served: RangeServed) -> TablesChanged:
    ours = tuple(Owner(each.prefix, ME.node_id) for each in served)
    return TablesChanged({}, (Owner("10.100.0.9/32", ALICE.node_id), *ours), (), served)


def test_a_range_is_served_behind_a_firewall_and_all_is_put_back(world: World) -> None:
    service = world.service()
    assert service.prepare(tables(LAN, V6)) == tables(LAN, V6)
    assert (world.tables, sysctl.read(FORWARD), sysctl.read(FORWARD_V6)) == ("table inet pulse", "1", "1")

    service.prepare(tables())
    assert (world.tables, sysctl.read(FORWARD), sysctl.read(FORWARD_V6)) == ("", "0", "0")
    assert undo.load(world.data) == ([], None)


def test_forwarding_that_was_on_stays_on(world: World) -> None:
    sysctl.write(FORWARD, "1")
    service = world.service()
    service.prepare(tables(LAN))
    service.prepare(tables())

    assert sysctl.read(FORWARD) == "1"


def test_what_a_crash_left_is_swept_and_what_others_set_since_stays(world: World) -> None:
    world.service().prepare(tables(LAN, V6))
    sysctl.write(FORWARD, "2")

    world.service().sweep()
    assert (world.tables, sysctl.read(FORWARD), sysctl.read(FORWARD_V6)) == ("", "2", "0")


def test_after_a_crash_with_a_damaged_list_the_firewall_goes_and_the_rest_is_told(world: World) -> None:
    world.service().prepare(tables(LAN, V6))
    (world.data / "undo").write_bytes(b"damaged")

    service = world.service()
    service.sweep()
    assert world.tables == ""
    assert "sysctl net.ipv4.ip_forward" in service.left


async def test_a_firewall_that_somebody_emptied_is_put_back(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exitnode, "WATCH", 0.02)
    service = world.service()
    service.prepare(tables(LAN))
    running = asyncio.ensure_future(service.run())
    world.flush()

    async with asyncio.timeout(20):
        while "192.168.7.0/24" not in world.ruleset:
            await asyncio.sleep(0.02)
        running.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await running
    assert world.tables == ""


def test_without_its_firewall_a_range_is_not_served(world: World, caplog: pytest.LogCaptureFixture) -> None:
    service = world.service(mesh="")

    assert service.prepare(tables(LAN)).owners == (Owner("10.100.0.9/32", ALICE.node_id),)
    assert "config" in service.problem
    assert [each.message for each in caplog.records if each.levelname == "ERROR"] == ["exit closed"]


async def test_an_exit_is_well_while_its_host_has_a_way_out(world: World) -> None:
    service = world.service()
    assert await service.answer(ALICE.node_id, b"") == b"\x00"
    service.prepare(tables(LAN))
    assert await service.answer(ALICE.node_id, b"") == b"\x00"

    ip(world.host, "link", "add", "e0", "type", "veth", "peer", "name", "e1")
    ip(world.host, "link", "set", "e0", "up")
    ip(world.host, "link", "set", "e1", "up")
    ip(world.host, "address", "add", "192.168.7.9/24", "dev", "e0")
    assert await service.answer(ALICE.node_id, b"") == b"\x01"
    service.prepare(tables(LAN, V6))
    assert await service.answer(ALICE.node_id, b"") == b"\x02" + V6.prefix.encode()
    service.prepare(tables())
