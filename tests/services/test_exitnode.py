"""The exit's side: firewall before tables, forwarding turned on and put back, also after a crash."""

import asyncio
import contextlib
import errno
import os
import subprocess
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from ipaddress import IPv4Network
from pathlib import Path

import pytest

from pulse.core.effects import Owner, RangeServed, TablesChanged
from pulse.core.trust.members import label
from pulse.errors import SystemRefused
from pulse.net import sysctl
from pulse.services import exitnode
from pulse.services.exitnode import ExitNodeService
from pulse.store import undo
from pulse.store.files import open_data_dir
from tests.core.meshing import ALICE, ME
from tests.namespace import inside, ip, namespace

LAN = RangeServed("192.168.7.0/24", "192.168.7.0/24")
INTERNET = RangeServed("0.0.0.0/0", "0.0.0.0/0")
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

    def crashed(self, *served: RangeServed) -> None:
        """An exit ran here, and was killed: the kernel closes what it had open."""
        service = self.service()
        service.prepare(tables(*served))
        gone(service)

    def way_to_the_lan(self) -> None:
        ip(self.host, "link", "add", "e0", "type", "veth", "peer", "name", "e1")
        ip(self.host, "link", "set", "e0", "up")
        ip(self.host, "link", "set", "e1", "up")
        ip(self.host, "address", "add", "192.168.7.9/24", "dev", "e0")

    def nft(self, *words: str) -> None:
        subprocess.run(["ip", "netns", "exec", self.host, "nft", *words], check=True)

    @property
    def tables(self) -> str:
        """But for the one that says that there is one exit."""
        return self.listed("tables").replace("table inet pulse-exit", "").strip()

    @property
    def ruleset(self) -> str:
        return self.listed("ruleset")

    def flush(self) -> None:
        """As `nft flush` of somebody who tidies up: the table is there, and nothing in it."""
        self.nft("flush", "table", "inet", "pulse")

    def listed(self, what: str) -> str:
        done = subprocess.run(["ip", "netns", "exec", self.host, "nft", "list", what], check=True, capture_output=True)
        return done.stdout.decode().strip()


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    with namespace() as name, inside(name):
        yield World(name, tmp_path)


@contextlib.asynccontextmanager
async def running(service: ExitNodeService) -> AsyncIterator[None]:
    """It runs; at the end it stops."""
    task = asyncio.ensure_future(service.run())
    async with asyncio.timeout(20):
        yield
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task


def gone(service: ExitNodeService) -> None:
    if service._sole:
        service._sole.close()


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
    world.crashed(LAN, V6)
    sysctl.write(FORWARD, "2")

    world.service().sweep()
    assert (world.tables, sysctl.read(FORWARD), sysctl.read(FORWARD_V6)) == ("", "2", "0")


def test_after_a_crash_with_a_damaged_list_the_firewall_goes_and_the_rest_is_told(world: World) -> None:
    world.crashed(LAN, V6)
    for name in ("undo", "undo.copy"):
        (world.data / name).write_bytes(b"damaged")

    service = world.service()
    service.sweep()
    assert world.tables == ""
    assert "undo is damaged" in service.left
    assert "sysctl -w net.ipv4.ip_forward=0 net.ipv6.conf.all.forwarding=0" in service.left


def test_after_a_crash_one_damaged_list_of_two_costs_nothing(world: World) -> None:
    world.crashed(LAN, V6)
    (world.data / "undo").write_bytes(b"damaged")

    service = world.service()
    service.sweep()
    assert (world.tables, sysctl.read(FORWARD), sysctl.read(FORWARD_V6)) == ("", "0", "0")
    assert service.left == ""


def test_of_two_exits_on_one_machine_the_second_is_refused_by_name_till_the_first_is_gone(
    world: World, tmp_path: Path
) -> None:
    first, second = world.service(), World(world.host, open_data_dir(tmp_path / "second")).service()
    first.prepare(tables(LAN))
    before = world.ruleset

    assert second.prepare(tables(V6)).owners == (Owner("10.100.0.9/32", ALICE.node_id),)
    who = f"{label(ME)} (process {os.getpid()}, {tmp_path})"
    assert second.problem.startswith(f"nobody gets out through this node: another exit runs on this machine: {who}")
    assert "Stop that one, or start this one without --exit" in second.problem
    second.prepare(tables())
    assert (world.ruleset, sysctl.read(FORWARD)) == (before, "1")

    first.prepare(tables())
    assert second.prepare(tables(V6)) == tables(V6)
    assert ("another exit" in second.problem, world.tables, sysctl.read(FORWARD)) == (False, "table inet pulse", "0")
    second.prepare(tables())


async def test_the_second_takes_over_by_itself_and_has_the_tables_prepared_anew(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exitnode, "WATCH", 0.02)
    first, second = world.service(), World(world.host, open_data_dir(tmp_path / "second")).service()
    first.prepare(tables(LAN))
    second.prepare(tables(V6))
    refreshed = asyncio.Event()
    second.refresh = refreshed.set
    async with running(second):
        first.prepare(tables())
        await refreshed.wait()
        assert ("another exit" in second.problem, second.prepare(tables(V6))) == (False, tables(V6))


def test_exits_in_two_namespaces_are_two_machines(world: World, tmp_path: Path) -> None:
    first = world.service()
    first.prepare(tables(LAN))
    with namespace() as name, inside(name):
        second = World(name, open_data_dir(tmp_path / "second")).service()
        assert second.prepare(tables(LAN)) == tables(LAN)
        second.prepare(tables())
    assert world.tables == "table inet pulse"
    first.prepare(tables())


def test_what_a_crash_left_stays_while_another_exit_needs_it(world: World, tmp_path: Path) -> None:
    world.crashed(LAN)
    other = World(world.host, open_data_dir(tmp_path / "second")).service()
    other.prepare(tables(LAN))

    world.service().sweep()
    assert (world.tables, sysctl.read(FORWARD)) == ("table inet pulse", "1")
    assert f"meta nfproto ipv4 {STRANGERS}" in world.ruleset
    other.prepare(tables())
    assert (world.tables, sysctl.read(FORWARD)) == ("", "0")
    world.service().sweep()
    assert (sysctl.read(FORWARD), undo.load(world.data)) == ("0", ([], None))


def test_forwarding_that_was_on_before_a_crash_no_other_exit_turns_off(world: World, tmp_path: Path) -> None:
    sysctl.write(FORWARD, "1")
    world.crashed(LAN, V6)
    other = World(world.host, open_data_dir(tmp_path / "second")).service()
    other.prepare(tables(LAN, V6))

    assert f"meta nfproto ipv4 {STRANGERS}" not in world.ruleset
    other.prepare(tables())
    assert (sysctl.read(FORWARD), sysctl.read(FORWARD_V6)) == ("1", "0")


async def test_what_the_kernel_does_not_tell_is_found_all_the_same(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.EMFILE, "Too many open files")

    for name in ("NetworkWatch", "ForwardingWatch", "FirewallWatch"):
        monkeypatch.setattr(exitnode, name, full)
    monkeypatch.setattr(exitnode, "WATCH", 0.02)
    service = world.service()
    service.prepare(tables(LAN))
    async with running(service):
        world.flush()
        while "192.168.7.0/24" not in world.ruleset:
            await asyncio.sleep(0.02)


async def test_forwarding_that_somebody_turns_off_is_noticed_and_turned_on_again(
    world: World, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    world.way_to_the_lan()
    service = world.service()
    service.prepare(tables(LAN, V6))
    for name in (FORWARD, FORWARD_V6):
        sysctl.write(name, "0")
    assert await service.answer(ALICE.node_id, b"") == b"\x00"

    monkeypatch.setattr(exitnode, "WATCH", 60.0)
    async with running(service):
        while (sysctl.read(FORWARD), sysctl.read(FORWARD_V6)) != ("1", "1"):
            await asyncio.sleep(0.02)
    (told,) = (each for each in caplog.records if each.message == "exit set up anew")
    assert told.__dict__["why"] == "forwarding was turned off"
    assert (sysctl.read(FORWARD), sysctl.read(FORWARD_V6)) == ("0", "0")


def test_a_range_to_which_this_machine_has_no_route_is_named_with_the_next_step(world: World) -> None:
    service = world.service()
    service.prepare(tables(LAN))

    what, _, fix = service.problem.partition("\n")
    assert what == "nobody gets to 192.168.7.0/24 through this node: its machine has no route there."
    assert fix == "Give it one, and see: ip route get 192.168.7.1"
    world.way_to_the_lan()
    assert service.problem == ""
    service.prepare(tables())


async def test_an_exit_without_its_firewall_is_not_well(world: World) -> None:
    world.way_to_the_lan()
    service = world.service()
    service.prepare(tables(LAN))
    assert await service.answer(ALICE.node_id, b"") == b"\x01"
    world.nft("delete", "table", "inet", "pulse")
    assert await service.answer(ALICE.node_id, b"") == b"\x00"
    service.prepare(tables())


async def test_forwarding_that_is_turned_off_for_the_device_alone_is_turned_on_again(world: World) -> None:
    ip(world.host, "tuntap", "add", "pulse0", "mode", "tun")
    world.way_to_the_lan()
    service = world.service()
    service.prepare(tables(LAN))
    assert await service.answer(ALICE.node_id, b"") == b"\x01"

    sysctl.write("net/ipv4/conf/pulse0/forwarding", "0")
    assert await service.answer(ALICE.node_id, b"") == b"\x00"
    async with running(service):
        while sysctl.read("net/ipv4/conf/pulse0/forwarding") != "1":
            await asyncio.sleep(0.02)


def test_forwarding_that_cannot_be_turned_on_is_a_problem(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuses(name: str, _: str) -> None:
        raise SystemRefused(f"cannot set {name}")

    monkeypatch.setattr(sysctl, "write", refuses)
    service = world.service()
    service.prepare(tables(LAN))
    monkeypatch.undo()

    assert "cannot set net/ipv4/ip_forward" in service.problem
    service.prepare(tables())
    assert (service.problem, world.tables, undo.load(world.data)) == ("", "", ([], None))


STRANGERS = 'iifname != "pulse0" oifname != "pulse0" drop'


def test_strangers_are_forwarded_only_where_they_were_before(world: World) -> None:
    service = world.service()
    service.prepare(tables(LAN))
    assert f"meta nfproto ipv4 {STRANGERS}" in world.ruleset
    assert f"meta nfproto ipv6 {STRANGERS}" not in world.ruleset
    service.prepare(tables())

    sysctl.write(FORWARD, "1")
    service.prepare(tables(LAN))
    assert STRANGERS not in world.ruleset
    service.prepare(tables())


async def test_who_forwards_from_then_on_is_let_and_keeps_forwarding(
    world: World, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """As Docker does, started while the exit runs."""
    monkeypatch.setattr(exitnode, "WATCH", 60.0)
    service = world.service()
    service.prepare(tables(LAN, V6))
    async with running(service):
        assert service.stays() == ""
        world.nft("add", "table", "ip", "nat")
        world.nft("add", "chain", "ip", "nat", "POST", "{ type nat hook postrouting priority 100; }")
        world.nft("add", "rule", "ip", "nat", "POST", "ip", "saddr", "172.17.0.0/16", "masquerade")
        while f"meta nfproto ipv4 {STRANGERS}" in world.ruleset:
            await asyncio.sleep(0.02)
        assert f"meta nfproto ipv6 {STRANGERS}" in world.ruleset
        assert "others do by now (table ip nat, chain POST)" in service.stays()

    assert (sysctl.read(FORWARD), sysctl.read(FORWARD_V6)) == ("1", "0")
    (told,) = (each for each in caplog.records if each.message == "forwarding left on")
    assert "sysctl -w net.ipv4.ip_forward=0" in told.__dict__["error"]
    assert undo.load(world.data) == ([], None)


async def test_networks_of_the_host_are_closed_as_they_come_and_go(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exitnode, "WATCH", 60.0)
    world.way_to_the_lan()
    service = world.service()
    service.prepare(tables(INTERNET))
    async with running(service):
        ip(world.host, "address", "add", "203.0.113.9/24", "dev", "e0")
        while "ip daddr 203.0.113.0/24 drop" not in world.ruleset:
            await asyncio.sleep(0.02)
        ip(world.host, "address", "delete", "203.0.113.9/24", "dev", "e0")
        while "ip daddr 203.0.113.0/24 drop" in world.ruleset:
            await asyncio.sleep(0.02)


async def test_a_firewall_that_somebody_emptied_is_put_back(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exitnode, "WATCH", 60.0)
    service = world.service()
    service.prepare(tables(LAN))
    async with running(service):
        world.flush()
        while "192.168.7.0/24" not in world.ruleset:
            await asyncio.sleep(0.02)
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

    world.way_to_the_lan()
    assert await service.answer(ALICE.node_id, b"") == b"\x01"
    service.prepare(tables(LAN, V6))
    assert await service.answer(ALICE.node_id, b"") == b"\x02" + V6.prefix.encode()
    service.prepare(tables())
