"""Traffic: reported by every node, summed by the scribe, and neither lost nor doubled by what happens to it."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

import pytest

from pulse import clock
from pulse.core.messages import MethodName, pack
from pulse.core.network.netconfig import Config, Settings, sign_config
from pulse.core.stats import Counts, Report
from pulse.core.trust.certificates import Certificate
from pulse.core.types import NodeId
from pulse.errors import LinkError, NotFound, ProtocolError, Refused
from pulse.net.links import PeerTraffic
from pulse.schemas.scribe import Traffic
from pulse.schemas.stats import Stats, StatsQuery
from pulse.services import stats as module
from pulse.services.stats import StatsService
from pulse.store import stats as store
from tests.authority import MESH, NOW, key
from tests.services.office import CA, CAM, HOME, KEEPER, RELAY, Office, fill_disk

__all__ = ["fill_disk"]

EVERYBODY = (KEEPER, HOME, RELAY, CAM)
KEYS = {HOME.node_id: "home", RELAY.node_id: "relay"}


@dataclass
class Streams:
    """Connections that a node carries."""

    active: int = 1
    total: int = 3
    bytes_in: int = 500
    bytes_out: int = 600


@dataclass
class Mesh:
    """Every node with its counts, and whoever is the scribe; a node that is not reachable answers nobody."""

    place: Path
    offices: dict[NodeId, Office] = field(default_factory=dict)
    counts: dict[NodeId, list[PeerTraffic]] = field(default_factory=dict)
    nodes: dict[NodeId, StatsService] = field(default_factory=dict)
    unreachable: set[NodeId] = field(default_factory=set)
    deaf: set[NodeId] = field(default_factory=set)
    """Answers to these are lost on the way."""
    calls: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        for each in EVERYBODY:
            self.offices[each.node_id] = Office(self.place / each.node_id[:8])
            self.start(each)
        self.appoint(HOME)

    def start(self, who: Certificate) -> None:
        """Start its daemon, again: what was in memory is gone."""
        me, office = who.node_id, self.offices[who.node_id]
        self.counts[me] = []

        async def call(node: NodeId, method: str, body: bytes, _: float) -> bytes:
            self.calls.append(method)
            if node in self.unreachable:
                raise LinkError("no link leads there")
            far = self.nodes[node]
            asked = {
                MethodName.STATS: far.report,
                MethodName.STATS_SUMMED: far.summed,
                MethodName.STATS_PEERS: far.by_peer,
            }
            answer = await asked[MethodName(method)](me, body)
            if me in self.deaf:
                raise LinkError("no answer came")
            return answer

        self.nodes[me] = StatsService.restored(
            me, office.statements, office.members, office.ca_nodes, lambda: self.counts[me], call, office.place
        )
        self.nodes[me].random = Random(1)

    def appoint(self, who: Certificate, epoch: int = 1) -> None:
        """The CA names a scribe, who signs a config; cam-7 is an operator."""
        config = Config(epoch, epoch + 1, Settings(str(MESH)))
        for office in self.offices.values():
            office.appoint(who, epoch, frozenset({CAM.node_id}))
            office.hear(sign_config(CA.network, config, key(KEYS[who.node_id])).data)

    def moved(self, who: Certificate, peer: Certificate, came: int, went: int = 0) -> None:
        """It has exchanged so many bytes with a peer since it started."""
        others = [each for each in self.counts[who.node_id] if each.node != peer.node_id]
        self.counts[who.node_id] = [*others, PeerTraffic(peer.node_id, went // 100, went, came // 100, came)]

    async def report(self, *who: Certificate) -> list[bool]:
        return [await self.nodes[each.node_id]._reported() for each in who or EVERYBODY]

    def write(self, who: Certificate = HOME) -> None:
        self.nodes[who.node_id]._write()

    async def told(self, asked: Certificate = HOME, node: str = "") -> Stats:
        return await self.nodes[asked.node_id].stats(StatsQuery(node))

    async def sums(self, asked: Certificate = HOME) -> dict[str, tuple[int, int]]:
        """Bytes in and out of each node that has any, as one node is told."""
        rows = (await self.told(asked)).rows
        return {each.name: (each.bytes_in, each.bytes_out) for each in rows if each.bytes_in or each.bytes_out}


@pytest.fixture
def mesh(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Mesh:
    monkeypatch.setattr(clock, "wall", lambda: NOW)
    return Mesh(tmp_path)


@pytest.fixture
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """A minute is over each time."""
    monkeypatch.setattr(module, "AGAIN", 0.0)


async def test_the_scribe_sums_what_all_report_and_tells_operators_the_ca_and_itself(mesh: Mesh) -> None:
    mesh.moved(HOME, RELAY, 500, 100)
    mesh.moved(RELAY, HOME, 100, 500)
    mesh.moved(RELAY, CAM, 1000)
    assert await mesh.report() == [True] * 4

    for asked in (HOME, CAM, KEEPER):
        found = await mesh.told(asked)
        assert (found.told_by, found.whole, found.problem, found.of) == ("home", True, "", "")
        assert [(each.name, each.bytes_in, each.bytes_out, each.packets_in) for each in found.rows[:2]] == [
            ("relay", 1100, 500, 11),
            ("home", 500, 100, 5),
        ]


async def test_the_status_of_the_scribe_has_all_nodes_and_that_of_others_their_own(mesh: Mesh) -> None:
    mesh.moved(HOME, RELAY, 500, 100)
    mesh.moved(RELAY, HOME, 100, 500)
    await mesh.report()
    mesh.moved(HOME, RELAY, 700, 100)

    all_of_them = mesh.nodes[HOME.node_id].by_node()
    assert (all_of_them[HOME.node_id], all_of_them[RELAY.node_id]) == (Traffic(700, 100), Traffic(100, 500))
    assert mesh.nodes[RELAY.node_id].by_node() == {RELAY.node_id: Traffic(100, 500)}
    await mesh.report(HOME)
    assert (await mesh.sums())["home"] == (700, 100)


async def test_who_is_no_operator_is_told_its_own_alone_and_how_to_ask(mesh: Mesh) -> None:
    mesh.moved(RELAY, HOME, 100)
    await mesh.report(RELAY)
    mesh.start(RELAY)
    mesh.moved(RELAY, HOME, 50)
    await mesh.report(RELAY)

    found = await mesh.told(RELAY)
    assert [(each.name, each.bytes_in) for each in found.rows] == [("relay", 150)], "over all its lives"
    assert not found.whole
    assert f"pulse ca grant {RELAY.node_id[:12]} operator" in found.problem


async def test_one_node_is_told_by_peer_to_who_may_know_with_whom_it_talks(mesh: Mesh) -> None:
    mesh.moved(RELAY, HOME, 100)
    mesh.moved(RELAY, CAM, 900)
    mesh.moved(RELAY, KEEPER, 0)

    for asked in (RELAY, HOME, CAM):
        found = await mesh.told(asked, "relay")
        assert (found.of, found.told_by, found.whole) == ("relay", "relay", True)
        assert [(each.name, each.bytes_in) for each in found.rows] == [("cam-7", 900), ("home", 100)]
    with pytest.raises(Refused, match=r"relay .*is no operator.*\nMake it one, on the CA: pulse ca grant"):
        await mesh.told(RELAY, "home")
    with pytest.raises(NotFound, match="nobody"):
        await mesh.told(HOME, "nobody")


async def test_connections_count_too_with_those_that_are_open(mesh: Mesh) -> None:
    mesh.nodes[RELAY.node_id].connections = (Streams(), Streams(0, 1, 5, 5))
    mesh.moved(RELAY, HOME, 100, 200)
    await mesh.report(RELAY)

    (row,) = (await mesh.told()).rows[:1]
    assert (row.name, row.bytes_in, row.bytes_out, row.conns, row.active_conns) == ("relay", 605, 805, 4, 1)
    by_peer = (await mesh.told(RELAY, "relay")).rows
    assert [(each.name, each.bytes_in, each.active_conns) for each in by_peer] == [
        ("(connections)", 505, 1),
        ("home", 100, 0),
    ]


async def test_nothing_is_said_while_there_is_nothing_to_say_but_once_a_minute(
    mesh: Mesh, monkeypatch: pytest.MonkeyPatch
) -> None:
    await mesh.report(RELAY, RELAY)
    mesh.moved(RELAY, HOME, 1)
    await mesh.report(RELAY, RELAY, RELAY)
    assert mesh.calls == [MethodName.STATS] * 2
    monkeypatch.setattr(module, "AGAIN", 0.0)
    await mesh.report(RELAY)

    assert mesh.calls == [MethodName.STATS] * 3


async def test_a_report_whose_answer_is_lost_is_not_counted_twice(mesh: Mesh) -> None:
    mesh.moved(RELAY, HOME, 300)
    mesh.deaf.add(RELAY.node_id)
    assert await mesh.report(RELAY, RELAY) == [False, False]
    mesh.deaf.clear()
    mesh.moved(RELAY, HOME, 400)
    await mesh.report(RELAY)

    assert await mesh.sums() == {"relay": (400, 0)}


async def test_a_scribe_killed_before_it_wrote_is_told_again_and_counts_once(mesh: Mesh, hasty: None) -> None:
    mesh.moved(RELAY, HOME, 300)
    await mesh.report(RELAY)
    mesh.write()
    mesh.moved(RELAY, HOME, 900)
    await mesh.report(RELAY)
    mesh.start(HOME)
    assert await mesh.sums() == {"relay": (300, 0)}

    await mesh.report(RELAY)
    assert await mesh.sums() == {"relay": (900, 0)}


async def test_a_node_that_starts_anew_counts_on_top_and_says_its_last_word_as_it_stops(mesh: Mesh) -> None:
    mesh.moved(RELAY, HOME, 300)
    await mesh.report(RELAY)
    mesh.moved(RELAY, HOME, 350)
    await mesh.nodes[RELAY.node_id].leave()
    mesh.start(RELAY)
    mesh.moved(RELAY, HOME, 20)
    await mesh.report(RELAY)

    assert await mesh.sums() == {"relay": (370, 0)}


async def test_who_stops_says_what_it_never_said_and_waits_for_nobody_long(
    mesh: Mesh, monkeypatch: pytest.MonkeyPatch
) -> None:
    await mesh.nodes[RELAY.node_id].leave()
    assert mesh.calls == [], "nothing was exchanged"
    mesh.unreachable.add(HOME.node_id)
    mesh.moved(RELAY, HOME, 300)
    await mesh.report(RELAY)
    mesh.unreachable.clear()
    await mesh.nodes[RELAY.node_id].leave()
    assert await mesh.sums() == {"relay": (300, 0)}

    async def silent(*_: object) -> bytes:
        await asyncio.sleep(3600)
        raise LinkError("no answer")

    monkeypatch.setattr(module, "LAST_WORDS", 0.01)
    mesh.nodes[RELAY.node_id].call = silent
    mesh.moved(RELAY, HOME, 400)
    async with asyncio.timeout(10):
        await mesh.nodes[RELAY.node_id].leave()


async def test_a_new_scribe_goes_on_with_what_nodes_that_run_have_counted(mesh: Mesh) -> None:
    mesh.moved(CAM, HOME, 300)
    await mesh.report()
    mesh.appoint(RELAY, 2)
    mesh.moved(CAM, HOME, 400)
    await mesh.report()
    assert await mesh.sums(RELAY) == {"cam-7": (400, 0)}
    with pytest.raises(LinkError, match="does not sum traffic"):
        await mesh.nodes[HOME.node_id].report(CAM.node_id, pack(Report(bytes(16), 1, Counts(9), 0, 0.0, 0.0)))

    mesh.appoint(HOME, 3)
    await mesh.report()
    assert await mesh.sums() == {"cam-7": (400, 0)}


async def test_where_the_scribe_is_out_of_reach_a_node_tells_its_own_and_says_why(mesh: Mesh) -> None:
    mesh.unreachable.add(HOME.node_id)
    mesh.moved(CAM, HOME, 300)

    assert await mesh.report(CAM) == [False]
    found = await mesh.told(CAM)
    assert [(each.name, each.bytes_in) for each in found.rows] == [("cam-7", 300)]
    assert "home" in found.problem
    assert "gave no answer: no link leads there" in found.problem
    assert not found.whole


async def test_what_is_no_report_and_what_a_revoked_node_says_is_refused(mesh: Mesh) -> None:
    mesh.moved(CAM, HOME, 300)
    await mesh.report(CAM)
    with pytest.raises(ProtocolError):
        await mesh.nodes[HOME.node_id].report(CAM.node_id, b"\x93")
    mesh.offices[HOME.node_id].revoke(CAM)
    with pytest.raises(Refused, match="revoked"):
        await mesh.nodes[HOME.node_id].report(CAM.node_id, pack(Report(bytes(16), 1, Counts(9), 0, 0.0, 0.0)))

    assert await mesh.sums() == {}


async def test_a_full_disk_costs_a_warning_and_nothing_is_forgotten(
    mesh: Mesh, fill_disk: Callable[[], None], caplog: pytest.LogCaptureFixture
) -> None:
    mesh.moved(RELAY, HOME, 300)
    await mesh.report(RELAY)
    fill_disk()
    mesh.write()

    assert "totals of traffic not written" in caplog.text
    assert mesh.nodes[HOME.node_id].totals.changed
    assert await mesh.sums() == {"relay": (300, 0)}


async def test_it_reports_by_itself_and_writes_when_it_ends(mesh: Mesh, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PAUSE", 0.001)
    service = mesh.nodes[HOME.node_id]
    async with asyncio.timeout(10), asyncio.TaskGroup() as tasks:
        running = tasks.create_task(service.run())
        mesh.moved(HOME, RELAY, 100)
        while not [row for row in service.totals.rows(NOW) if row.counts.bytes_in == 100]:
            await asyncio.sleep(0.001)
        running.cancel()

    (row,) = store.load(mesh.offices[HOME.node_id].place)[0].rows(NOW)
    assert row.counts.bytes_in == 100
