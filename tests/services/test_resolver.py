"""Resolver service: told when a person wants it, told again when it forgot, and left as it was."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from pulse.errors import Conflict, NotFound, SystemRefused
from pulse.net.resolver import Resolver, Standing
from pulse.services import resolver
from pulse.services.resolver import ResolverService
from pulse.store import resolver as choice
from pulse.store import undo
from pulse.store.files import open_data_dir
from pulse.store.undo import Undo

SERVER = "127.0.0.1:5353"
LEFT = Undo("resolved", "pulse0")


@dataclass
class Machine:
    """Stands in for the resolver of this machine; each life of it forgets."""

    name: str = "resolved"
    data_dir: Path = Path()
    life: int = 1
    words: list[str] = field(default_factory=list)
    refusal: str = ""
    unclean: str = ""
    told: dict[str, str] = field(default_factory=dict)
    changed: asyncio.Event = field(default_factory=asyncio.Event)

    def note(self) -> str:
        return ""

    def standing(self, device: str) -> Standing | None:
        return (self.life,) if device in self.told else None

    async def apply(self, device: str, server: str, reverse: Sequence[str] = ()) -> None:
        assert undo.load(self.data_dir)[0] == [LEFT]
        self.words.append(" ".join(("apply", device, server, *reverse)))
        if self.refusal:
            raise SystemRefused(self.refusal)
        self.told[device] = server
        self.changed.set()

    async def revert(self, device: str) -> None:
        self.words.append(f"revert {device}")
        if self.unclean:
            raise SystemRefused(self.unclean)
        self.told.pop(device, None)
        self.changed.set()

    async def find(self, servers: Sequence[str]) -> tuple[Resolver, str]:
        if not self.life:
            raise SystemRefused("neither runs here")
        return self, servers[0]

    def named(self, name: str) -> Resolver | None:
        return self if name == self.name else None

    async def wait(self, told: dict[str, str]) -> None:
        """Until it is told that."""
        async with asyncio.timeout(30):
            while self.told != told:
                self.changed.clear()
                await self.changed.wait()


@dataclass
class Tun:
    name: str = "pulse0"
    problem: str = ""


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Machine:
    monkeypatch.setattr(resolver, "LOOK", 0.005)
    return Machine(data_dir=open_data_dir(tmp_path / "data"))


def service(machine: Machine, servers: Sequence[str] = (SERVER,), device: Tun | None = None) -> ResolverService:
    return ResolverService(machine.data_dir, servers, device or Tun(), machine.find, machine.named)


@asynccontextmanager
async def running(made: ResolverService) -> AsyncIterator[ResolverService]:
    """As in a node, which stops at the end."""
    task = asyncio.create_task(made.run())  # noqa: TID251 — a test of one service has no TaskGroup of a node
    try:
        yield made
    finally:
        task.cancel()
        await asyncio.wait([task])


async def test_it_is_told_once_asked_and_left_as_it_was_at_the_end(machine: Machine) -> None:
    async with running(service(machine)) as here:
        assert not (await here.state()).wanted

        told = await here.set_up()
        assert (told.wanted, told.resolver, told.device, told.server) == (True, "resolved", "pulse0", SERVER)
        await asyncio.sleep(0.05)

    assert machine.words == [f"apply pulse0 {SERVER}", "revert pulse0"]
    assert undo.load(machine.data_dir) == ([], None)


async def test_every_start_tells_it_until_it_is_taken_back(machine: Machine) -> None:
    choice.save(machine.data_dir, wanted=True)
    async with running(service(machine)) as here:
        await machine.wait({"pulse0": SERVER})
        assert not (await here.take_back()).wanted
        assert machine.told == {}
        with pytest.raises(NotFound, match="pulse setup dns"):
            await here.take_back()

    async with running(service(machine)):
        await asyncio.sleep(0.05)
    assert machine.words == [f"apply pulse0 {SERVER}", "revert pulse0"]


async def test_it_is_told_again_when_it_forgot_and_when_it_comes_late(machine: Machine) -> None:
    machine.life = 0
    choice.save(machine.data_dir, wanted=True)
    async with running(service(machine)) as here:
        await asyncio.sleep(0.05)
        assert (await here.state()).problem == "neither runs here"

        machine.life = 1
        await machine.wait({"pulse0": SERVER})
        for _ in range(2):
            machine.life, machine.told = machine.life + 1, {}
            await machine.wait({"pulse0": SERVER})
        assert (await here.state()).problem == ""


async def test_it_is_told_again_once_more_addresses_are_those_of_the_mesh(machine: Machine) -> None:
    choice.save(machine.data_dir, wanted=True)
    zones: tuple[str, ...] = ("7.f.ip6.arpa",)
    made = service(machine)
    made.reverse = lambda: zones
    async with running(made):
        await machine.wait({"pulse0": SERVER})
        machine.changed.clear()
        zones = ("100.10.in-addr.arpa", *zones)
        async with asyncio.timeout(30):
            await machine.changed.wait()
        await asyncio.sleep(0.05)

    told = f"apply pulse0 {SERVER} "
    assert machine.words[0] == f"{told}7.f.ip6.arpa"
    assert machine.words[1:] == [f"{told}100.10.in-addr.arpa 7.f.ip6.arpa", "revert pulse0"]


async def test_an_interface_that_is_not_up_is_waited_for(machine: Machine) -> None:
    choice.save(machine.data_dir, wanted=True)
    device = Tun(problem="the device is not made yet")
    async with running(service(machine, device=device)):
        await asyncio.sleep(0.05)
        assert machine.words == []

        device.problem = ""
        await machine.wait({"pulse0": SERVER})


async def test_what_a_crash_left_is_put_back_whatever_the_node_does_now(machine: Machine) -> None:
    undo.add(machine.data_dir, LEFT)
    machine.told = {"pulse0": SERVER}

    async with running(service(machine, servers=())):
        await machine.wait({})

    assert machine.words == ["revert pulse0"]
    assert undo.load(machine.data_dir) == ([], None)


async def test_what_cannot_be_put_back_is_tried_at_the_next_start(
    machine: Machine, caplog: pytest.LogCaptureFixture
) -> None:
    undo.add(machine.data_dir, LEFT)
    machine.unclean = "Access denied"

    async with running(service(machine)):
        await asyncio.sleep(0.05)

    assert undo.load(machine.data_dir) == ([LEFT], None)
    assert "resolver not put back" in caplog.messages


async def test_what_is_refused_is_not_kept_and_leaves_nothing(machine: Machine) -> None:
    machine.refusal = "Access denied"
    async with running(service(machine)) as here:
        with pytest.raises(SystemRefused, match="Access denied"):
            await here.set_up()

    assert machine.words == [f"apply pulse0 {SERVER}", "revert pulse0"]
    assert choice.load(machine.data_dir) == (False, None)
    assert undo.load(machine.data_dir) == ([], None)


async def test_without_dns_or_an_interface_the_next_command_is_named(machine: Machine) -> None:
    with pytest.raises(Conflict, match=r"under \[dns\]"):
        await service(machine, servers=()).set_up()
    with pytest.raises(Conflict, match=r"under \[tun\].*--global"):
        await ResolverService(machine.data_dir, (SERVER,), None, machine.find, machine.named).set_up()


async def test_who_undoes_it_each_time_is_opposed_ever_more_rarely(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    pauses: list[float] = []
    sleep = asyncio.sleep

    async def paused(seconds: float) -> None:
        pauses.append(seconds)
        machine.life += 1
        await sleep(0)

    monkeypatch.setattr(asyncio, "sleep", paused)
    monkeypatch.setattr(resolver, "LONGEST_PAUSE", 0.03)
    choice.save(machine.data_dir, wanted=True)
    async with running(service(machine)), asyncio.timeout(30):
        while len(pauses) < 5:
            await sleep(0)

    assert pauses[:5] == [0.01, 0.02, 0.03, 0.03, 0.03]


async def test_a_problem_that_stays_is_said_once(machine: Machine, caplog: pytest.LogCaptureFixture) -> None:
    choice.save(machine.data_dir, wanted=True)
    async with running(service(machine, servers=())):
        await asyncio.sleep(0.1)

    assert caplog.messages.count("resolver not told") == 1
