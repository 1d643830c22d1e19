"""The client's side of exits: the host's routes follow the tables, and an exit that gives no answer is told."""

import asyncio
import errno
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from pulse import aftermath
from pulse.core.effects import AskExit, RangeUse, TablesChanged
from pulse.core.facts import ExitAnswered, Fact
from pulse.core.network.interference import PROBLEM
from pulse.core.types import NodeId
from pulse.errors import LinkError, SystemRefused
from pulse.net.policyrouting import PolicyRouting
from pulse.net.policyrules import FAMILIES, PLACES, changes
from pulse.services import exits
from pulse.services.exits import ExitsService
from pulse.store import undo
from tests.core.meshing import ALICE
from tests.namespace import inside, ip, namespace

INTERNET = "0.0.0.0/0"
ASKED = AskExit(ALICE.node_id, 0.7)
TABLE = ("route", "show", "table", "28789")


@dataclass
class World:
    """A client with a device in a namespace, and one exit."""

    host: str
    data: Path
    answer: bytes | None = b"\x01"
    told: list[Fact] = field(default_factory=list)
    device: str = "pulse0"

    def service(self, *, uses: bool = True, name: str = "first") -> ExitsService:
        """A node of that name: each has files of its own."""
        data = self.data / name
        data.mkdir(exist_ok=True)
        return ExitsService(self.call, self.told.append, lambda: self.device, uses, data)

    def crash(self) -> None:
        """The process is gone, and its device with it."""
        ip(self.host, "link", "delete", "pulse0")

    async def call(self, node: NodeId, _: str, __: bytes, patience: float) -> bytes:
        assert patience == ASKED.patience
        if self.answer is None:
            raise LinkError(f"{node} did not answer")
        return self.answer


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    with namespace() as name:
        ip(name, "tuntap", "add", "pulse0", "mode", "tun")
        ip(name, "link", "set", "pulse0", "up")
        with inside(name):
            yield World(name, tmp_path)


async def ended(running: asyncio.Future[None]) -> None:
    """It is told to end, and has."""
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running


def tables(*ranges: RangeUse) -> TablesChanged:
    return TablesChanged({}, (), ranges)


def test_routes_follow_the_tables_and_all_are_taken_away(world: World) -> None:
    service = world.service()
    service.prepare(tables(RangeUse(INTERNET, ALICE.node_id)))
    assert "default dev pulse0" in ip(world.host, *TABLE)

    service.prepare(tables(RangeUse(INTERNET, None)))
    assert ip(world.host, *TABLE).split("\n")[0].startswith("unreachable default")
    service.remove()
    assert "28789" not in ip(world.host, "rule")


def test_a_device_that_comes_later_carries_what_was_refused_until_then(world: World) -> None:
    world.device = ""
    service = world.service()
    service.prepare(tables(RangeUse(INTERNET, ALICE.node_id)))
    assert "pulse0" not in ip(world.host, *TABLE)

    world.device = "pulse0"
    service.install()
    assert "default dev pulse0" in ip(world.host, *TABLE)
    world.device = "pulse9"
    service.install()
    assert service.problem
    service.remove()


def test_a_node_that_uses_none_removes_what_a_run_before_left_and_says_so(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    world.service().prepare(tables(RangeUse(INTERNET, ALICE.node_id)))
    world.crash()

    world.service(uses=False).sweep()
    assert "28789" not in ip(world.host, "rule")
    assert [each.message for each in caplog.records] == ["kill switch of the last run removed"]


def test_what_is_to_be_undone_may_be_damaged_and_is(world: World) -> None:
    world.service().prepare(tables(RangeUse(INTERNET, ALICE.node_id)))
    (world.data / "first" / "undo").write_bytes(b"damaged")
    world.crash()

    world.service(uses=False).sweep()
    assert "28789" not in ip(world.host, "rule")


def test_what_another_node_of_this_machine_set_stays(world: World) -> None:
    """Its packets would go past the tunnel."""
    world.service().prepare(tables(RangeUse(INTERNET, ALICE.node_id)))
    held = ip(world.host, *TABLE), ip(world.host, "rule")
    other = world.service(uses=False, name="other")
    other.sweep()
    other.remove()
    assert (ip(world.host, *TABLE), ip(world.host, "rule")) == held

    world.device = "pulse1"
    second = world.service(name="second")
    second.prepare(tables(RangeUse("10.0.0.0/8", ALICE.node_id)))
    assert "another node on this machine uses exits, through pulse0" in second.problem
    second.remove()
    assert (ip(world.host, *TABLE), ip(world.host, "rule")) == held
    assert undo.load(world.data / "second") == ([], None)


def test_what_a_node_that_crashed_keeps_in_no_other_lets_out(world: World) -> None:
    world.service().prepare(tables(RangeUse(INTERNET, ALICE.node_id)))
    world.crash()
    held = ip(world.host, *TABLE)

    world.device = "lo"
    second = world.service(name="second")
    second.install()
    assert second.problem == ""
    second.prepare(tables(RangeUse("10.0.0.0/8", ALICE.node_id)))
    assert "keeps packets in until it is back" in second.problem
    second.remove()
    aftermath.put_back(world.data / "second")
    assert ip(world.host, *TABLE) == held

    aftermath.put_back(world.data / "first")
    second.prepare(tables(RangeUse("10.0.0.0/8", ALICE.node_id)))
    assert second.problem == ""
    second.remove()


def test_rules_of_others_that_were_there_before_neither_go_first_nor_keep_ours_away(world: World) -> None:
    """Told is where there is no place for ours; wherever they stand, they are there."""
    for priority in ("18100", "18101"):
        ip(world.host, "rule", "add", "priority", priority, "lookup", "main")
    service = world.service()
    service.prepare(tables(RangeUse(INTERNET, ALICE.node_id)))
    assert service.problem == ""
    assert "18099:\tnot from all fwmark 0x70756c73 lookup 28789" in ip(world.host, "rule")
    service.remove()

    for place in PLACES:
        ip(world.host, "rule", "add", "priority", str(place), "lookup", "main", "protocol", "static")
    service.prepare(tables(RangeUse(INTERNET, ALICE.node_id)))
    assert "ip rule del priority 18100" in service.problem
    assert "28789" in ip(world.host, "rule")
    ip(world.host, "rule", "flush", "protocol", "static")
    service.install()
    assert service.problem == ""
    service.remove()


async def test_a_node_that_is_started_anew_lets_nothing_past_meanwhile(world: World) -> None:
    service = world.service()
    service.prepare(tables(RangeUse(INTERNET, ALICE.node_id)))
    service.leaves = lambda: False
    running = asyncio.ensure_future(service.run())
    await asyncio.sleep(0)
    await ended(running)

    ip(world.host, "link", "delete", "pulse0")
    assert ip(world.host, *TABLE).startswith("unreachable default")
    assert "28789" in ip(world.host, "rule")


THEFTS = {
    "a rule": ("rule", "del", "priority", "18101"),
    "an IPv6 rule": ("-6", "rule", "del", "priority", "18100"),
    "all rules": ("rule", "flush"),
    "all routes": ("route", "flush", "table", "28789"),
    "IPv6 routes": ("-6", "route", "flush", "table", "28789"),
    "an order": ("rule", "add", "priority", "18100", "lookup", "main"),
}


@pytest.mark.parametrize("theft", THEFTS.values(), ids=THEFTS)
async def test_what_others_take_away_is_put_back_as_soon_as_the_kernel_tells(
    world: World, monkeypatch: pytest.MonkeyPatch, theft: tuple[str, ...]
) -> None:
    monkeypatch.setattr(exits, "WATCH", 3600.0)
    service = world.service()
    service.prepare(tables(RangeUse(INTERNET, ALICE.node_id)))
    running = asyncio.ensure_future(service.run())
    with PolicyRouting() as kernel:
        held = kernel.table()
        await asyncio.sleep(0)

        ip(world.host, *theft)
        async with asyncio.timeout(20):
            while kernel.table() != held or not all(leads(kernel, each) for each in FAMILIES):
                await asyncio.sleep(0.005)
    await ended(running)


async def test_what_the_kernel_does_not_tell_is_found_all_the_same(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_: object) -> None:
        raise OSError(errno.EMFILE, "Too many open files")

    monkeypatch.setattr(exits, "RoutingWatch", full)
    monkeypatch.setattr(exits, "WATCH", 0.02)
    service = world.service()
    service.prepare(tables(RangeUse(INTERNET, ALICE.node_id)))
    running = asyncio.ensure_future(service.run())
    with PolicyRouting() as kernel:
        await asyncio.sleep(0)
        ip(world.host, "rule", "flush")
        async with asyncio.timeout(20):
            while not all(leads(kernel, each) for each in FAMILIES):
                await asyncio.sleep(0.02)
    await ended(running)


async def test_routes_by_which_the_internet_is_reached_past_the_exit_are_told_while_one_is_used(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exits, "SURVEY", 0.01)
    service = world.service()
    running = asyncio.ensure_future(service.run())
    # The network's own device is none of these.
    ip(world.host, "link", "add", "e0", "type", "veth", "peer", "name", "e1")
    ip(world.host, "link", "set", "e0", "up")
    ip(world.host, "route", "add", "128.0.0.0/1", "dev", "e0")
    ip(world.host, "route", "add", "0.0.0.0/1", "dev", "pulse0")

    async with asyncio.timeout(20):
        for ranges, told in (
            ((RangeUse(INTERNET, ALICE.node_id),), ("128.0.0.0/1 dev e0",)),
            ((RangeUse("10.0.0.0/8", ALICE.node_id),), ()),
            ((RangeUse(INTERNET, None),), ("128.0.0.0/1 dev e0",)),
        ):
            service.prepare(tables(*ranges))
            while service.bypasses != told:
                await asyncio.sleep(0.01)
        ip(world.host, "route", "del", "128.0.0.0/1")
        while service.bypasses:
            await asyncio.sleep(0.01)
    await ended(running)


def leads(kernel: PolicyRouting, family: int) -> bool:
    """True if our rules are there and asked first."""
    rules = [each for each in kernel.rules() if each.family == family]
    return changes(rules, family, wanted=True) == ([], [])


@pytest.mark.parametrize(
    ("answer", "well", "shut"),
    [
        (None, False, ()),
        (b"\x00", False, ()),
        (b"\x01", True, ()),
        (b"\x02::/0\nfd00::/8", True, ("::/0", "fd00::/8")),
        (b"\x02" + b"x" * 2000, False, ()),
    ],
)
async def test_what_an_exit_answers_is_told_and_routes_go_at_the_end(
    world: World, answer: bytes | None, well: bool, shut: tuple[str, ...]
) -> None:
    world.answer = answer
    service = world.service()
    service.prepare(tables(RangeUse(INTERNET, ALICE.node_id)))
    service.ask(ASKED)
    async with asyncio.timeout(20), asyncio.TaskGroup() as tasks:
        running = tasks.create_task(service.run())
        while not world.told:
            await asyncio.sleep(0.01)
        running.cancel()

    assert world.told == [ExitAnswered(ALICE.node_id, well, shut)]
    assert "28789" not in ip(world.host, "rule")


async def test_routes_that_others_put_under_our_name_and_a_device_that_is_renamed_let_nothing_past(
    world: World,
) -> None:
    ip(world.host, "link", "add", "e0", "type", "veth", "peer", "name", "e1")
    for name in ("e0", "e1"):
        ip(world.host, "link", "set", name, "up")
    service = world.service()
    service.prepare(tables(RangeUse(INTERNET, ALICE.node_id)))
    ip(world.host, "route", "add", "default", "dev", "e0", "table", "28789", "proto", "112", "metric", "0")
    ip(world.host, "link", "set", "pulse0", "name", "bar0")
    ip(world.host, "rule", "flush")

    service.install()
    with PolicyRouting() as kernel:
        assert {each.device for each in kernel.table()} == {""}
        assert all(leads(kernel, each) for each in FAMILIES)
    service.remove()


def test_a_full_disk_keeps_nobody_from_a_leak_and_is_told(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise SystemRefused("cannot write undo: No space left on device")

    monkeypatch.setattr(undo, "add", full)
    service = world.service()
    for _ in range(2):
        service.prepare(tables(RangeUse(INTERNET, None)))
        service.install()
        assert ip(world.host, *TABLE).startswith("unreachable default")
        assert service.problem.startswith(
            "what keeps packets in would not be put back after a crash: cannot write undo"
        )
        assert "ip route flush table 28789" in service.problem
    monkeypatch.undo()
    service.install()
    assert (service.problem, undo.load(service.data_dir)[0]) == ("", [exits.OURS])
    service.remove()
    assert "28789" not in ip(world.host, "rule")


async def test_who_takes_ours_away_again_and_again_is_a_problem(world: World) -> None:
    service = world.service()
    service.prepare(tables(RangeUse(INTERNET, ALICE.node_id)))
    running = asyncio.ensure_future(service.run())
    async with asyncio.timeout(20):
        while not service.problem:
            ip(world.host, "rule", "flush")
            await asyncio.sleep(0.005)
    assert service.problem == PROBLEM
    await ended(running)
