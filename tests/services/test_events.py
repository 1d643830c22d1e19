"""The journal's pen: what happened reaches the disk in order, and a disk that refuses costs trust nothing."""

import asyncio
import threading
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from pulse.core.chronicle import Chronicle
from pulse.core.effects import Log, StorePeers
from pulse.core.events import Event, Kind, Past
from pulse.core.types import NodeId
from pulse.errors import SystemRefused
from pulse.services import events as module
from pulse.services.events import SUBSCRIBED, WAITING, EventsService
from pulse.store.events import EventJournal
from pulse.store.files import open_data_dir
from pulse.store.journal import Entry
from tests.authority import Ca
from tests.mint import member, mesh

CA = Ca()
ME, ALICE = (member(CA, name, place, host=name) for place, name in enumerate(("me", "alice"), 1))
PATIENCE = 20.0
FULL = "cannot write to events: No space left on device"


@pytest.fixture(autouse=True)
def hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "GATHER", 0.01)


@dataclass
class Disk:
    """A journal's files that can be full, or hang."""

    past: Past = field(default_factory=Past)
    entries: list[Entry] = field(default_factory=list)
    full: bool = False
    free: threading.Event = field(default_factory=threading.Event)
    closed: bool = False

    def __post_init__(self) -> None:
        self.free.set()

    def append(self, happened: Sequence[tuple[float, Event]]) -> list[Entry]:
        self.free.wait(PATIENCE)
        if self.full:
            raise SystemRefused(FULL)
        first = len(self.entries) + 1
        fresh = [Entry(first + n, at, event.kind, dict(event.fields)) for n, (at, event) in enumerate(happened)]
        for entry in fresh:
            self.past.happened(Event(entry.event, entry.fields), entry.time)
        self.entries += fresh
        return fresh

    def keep_head(self) -> None:
        pass

    def close(self) -> None:
        self.closed = True

    @property
    def kinds(self) -> list[str]:
        return [entry.event for entry in self.entries]


class Node:
    """An events service over a mesh of its own."""

    def __init__(self, disk: Disk | EventJournal) -> None:
        self.mesh = mesh(CA, ME)
        self.ways: dict[NodeId, tuple[str, NodeId]] = {}
        now = asyncio.get_running_loop().time()
        chronicle = Chronicle(
            ME.node_id, Past(), self.mesh, lambda node: self.ways.get(node, ("-", NodeId(""))), lambda: 0.0, now
        )
        self.service = EventsService(disk, chronicle)

    def meets_alice(self) -> None:
        self.mesh.members.certificate_seen(ALICE)
        self.service.performed([StorePeers()])


@asynccontextmanager
async def running(node: Node) -> AsyncIterator[None]:
    task = asyncio.ensure_future(node.service.run())
    await asyncio.sleep(0)
    yield
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def until(true: object) -> None:
    async with asyncio.timeout(PATIENCE):
        while not true():  # type: ignore[operator]
            await asyncio.sleep(0.005)


def refused(number: int) -> Log:
    return Log("neighbour broke the protocol", 30, {"error": str(number)})


async def test_what_concerns_trust_is_written_at_once_and_the_last_word_at_the_end(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    disk = Disk()
    node = Node(disk)
    async with running(node):
        node.meets_alice()
        await until(lambda: disk.kinds == ["join", "join"])
        monkeypatch.setattr(module, "GATHER", PATIENCE)
        node.service.issued(ALICE)
        await until(lambda: disk.kinds[2:] == ["issue"])

    assert disk.kinds[3:] == ["stop"]
    assert disk.entries[2].fields == {"node": ALICE.node_id, "name": "alice", "v4": str(ALICE.addresses.v4)}
    await until(lambda: disk.closed)


async def test_a_question_is_answered_after_all_that_waits_is_written() -> None:
    disk = Disk()
    node = Node(disk)
    node.service.refused("refused a link: no certificate")

    assert await node.service.ask(lambda: disk.kinds) == ["refuse"]


async def test_the_loop_goes_on_while_the_disk_hangs() -> None:
    disk = Disk()
    node = Node(disk)
    async with running(node):
        disk.free.clear()
        node.meets_alice()
        beats = 0
        for _ in range(20):
            await asyncio.sleep(0.005)
            beats += 1
        assert (beats, disk.kinds) == (20, [])
        disk.free.set()
        await until(lambda: disk.kinds == ["join", "join"])


async def test_who_asked_may_go_away_and_nothing_is_lost_or_written_twice() -> None:
    disk = Disk()
    node = Node(disk)
    disk.free.clear()
    node.service.happened(Event(Kind.START))
    asking = asyncio.ensure_future(node.service.ask(lambda: None))
    await asyncio.sleep(0.02)
    asking.cancel()
    node.service.happened(Event(Kind.EDIT, {"version": "1.2"}))
    disk.free.set()

    assert await node.service.ask(lambda: disk.kinds) == ["start", "edit"]


async def test_a_full_disk_is_warned_of_once_and_told_and_what_others_cause_gives_way(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(module, "WAITING", 5)
    monkeypatch.setattr(module, "RETRY", 0.01)
    caplog.set_level("INFO")
    disk = Disk(full=True)
    node = Node(disk)
    async with running(node):
        node.meets_alice()
        await until(lambda: node.service.problem == FULL)
        node.service.performed([refused(number) for number in range(50)])
        node.service.happened(Event(Kind.REVOKE, {"node": ALICE.node_id}))
        await asyncio.sleep(0.05)
        assert disk.entries == []
        disk.full = False
        await until(lambda: "gap" in disk.kinds)

    kept = 5 - 2
    assert WAITING > 5
    assert node.service.lost == 50 - kept
    assert disk.kinds[:6] == ["join", "join", "refuse", "refuse", "refuse", "revoke"]
    assert next(entry for entry in disk.entries if entry.event == "gap").fields == {"lost": 50 - kept}
    said = [record.getMessage() for record in caplog.records if record.name == module.__name__]
    assert said == ["events not kept on disk", "events are kept on disk again"]


async def test_paths_that_were_lost_are_told_again_as_they_are(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "WAITING", 2)
    monkeypatch.setattr(module, "RETRY", 0.01)
    disk = Disk(full=True)
    node = Node(disk)
    async with running(node):
        node.meets_alice()
        node.ways[ALICE.node_id] = ("quic", NodeId(""))
        await until(lambda: node.service.lost == 1)
        disk.full = False
        await until(lambda: "up" in disk.kinds)

    assert disk.past.nodes[ALICE.node_id].link == "-"  # it stopped since
    assert disk.kinds[:4] == ["join", "join", "gap", "up"]


async def test_subscribers_hear_what_was_written_and_a_slow_one_sees_a_gap_in_the_numbers() -> None:
    disk = Disk()
    node = Node(disk)
    with node.service.subscribe() as news, node.service.subscribe() as slow:
        node.service.happened(Event(Kind.START))
        await node.service.ask(lambda: None)
        heard = aiter(news)
        assert (await anext(heard)).event == "start"
        for number in range(SUBSCRIBED + 1):
            node.service.happened(Event(Kind.EDIT, {"version": f"1.{number}"}))
        await node.service.ask(lambda: None)
        assert (await anext(aiter(slow))).seq == 3
        assert (await anext(heard)).seq == 3
    node.service.happened(Event(Kind.STOP))
    await node.service.ask(lambda: None)
    assert news._entries[-1].event == "edit"


async def test_a_real_journal_has_it_after_the_end(tmp_path: Path) -> None:
    data_dir = open_data_dir(tmp_path / "data")
    node = Node(EventJournal.open(data_dir, 1.0))
    node.service.happened(Event(Kind.START))
    async with running(node):
        node.meets_alice()

    journal = EventJournal.open(data_dir, 2.0)
    assert [entry.event for entry in journal.newest(9, lambda entry: entry.seq > 2)][:1] == ["start"]
    assert journal.newest(1, lambda _: True)[0].event == "stop"
    assert journal.verify().broken is None
    journal.close()
