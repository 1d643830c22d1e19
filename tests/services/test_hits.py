"""Hits by rule: reported by every node, summed by the scribe, and neither lost nor doubled by what happens to it."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

import pytest
from msgspec import structs

from pulse import clock
from pulse.core.messages import MethodName, pack
from pulse.core.network.netconfig import Config, Settings, sign_config
from pulse.core.network.policy import Rule
from pulse.core.network.tally import Report
from pulse.core.trust.certificates import Certificate
from pulse.core.types import NodeId
from pulse.errors import LinkError, ProtocolError, Refused
from pulse.net.links import RuleHits
from pulse.schemas.policy import HitsQuery, NodeHits
from pulse.services import hits as module
from pulse.services.hits import HitsService
from pulse.store import hits as store
from tests.authority import MESH, NOW, key
from tests.services.office import CA, CAM, HOME, KEEPER, RELAY, Office, fill_disk

__all__ = ["fill_disk"]

EVERYBODY = (KEEPER, HOME, RELAY, CAM)
KEYS = {HOME.node_id: "home", RELAY.node_id: "relay"}
ALL, HERE = HitsQuery(), HitsQuery(here=True)
RULES = [Rule("r1", ["*"], ["home"], allow=True), Rule("r2", ["*"], ["*"], allow=False)]


@dataclass
class Mesh:
    """Every node with its counts, and whoever is the scribe; a node that is not reachable answers nobody."""

    place: Path
    offices: dict[NodeId, Office] = field(default_factory=dict)
    counts: dict[NodeId, RuleHits] = field(default_factory=dict)
    nodes: dict[NodeId, HitsService] = field(default_factory=dict)
    unreachable: set[NodeId] = field(default_factory=set)
    deaf: set[NodeId] = field(default_factory=set)
    """Answers to these are lost on the way."""
    calls: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        for each in EVERYBODY:
            self.offices[each.node_id] = Office(self.place / each.node_id[:8])
            self.counts[each.node_id] = RuleHits({}, 0)
            self.start(each)
        self.appoint(HOME)
        self.ruled(1, 2, RULES)

    def start(self, who: Certificate, *, counts: RuleHits | None = None) -> None:
        """Start its daemon, again: what was in memory is gone."""
        me, office = who.node_id, self.offices[who.node_id]
        if counts:
            self.counts[me] = counts

        async def call(node: NodeId, method: str, body: bytes, _: float) -> bytes:
            self.calls.append(method)
            if node in self.unreachable:
                raise LinkError("no link leads there")
            asked = {MethodName.HITS: self.nodes[node].report, MethodName.HITS_SUMMED: self.nodes[node].summed}
            answer = await asked[MethodName(method)](me, body)
            if me in self.deaf:
                raise LinkError("no answer came")
            return answer

        self.nodes[me] = HitsService.restored(
            me, office.statements, office.members, office.ca_nodes, lambda: self.counts[me], call, office.place
        )
        self.nodes[me].random = Random(1)

    def appoint(self, who: Certificate, epoch: int = 1) -> None:
        """The CA names a scribe; cam-7 is an operator."""
        for office in self.offices.values():
            office.appoint(who, epoch, frozenset({CAM.node_id}))
        self.changed()

    def ruled(self, epoch: int, generation: int, rules: list[Rule], by: Certificate = HOME) -> None:
        """The scribe signs these rules, and all have them."""
        config = Config(epoch, generation, Settings(str(MESH)), acl=rules)
        for office in self.offices.values():
            office.hear(sign_config(CA.network, config, key(KEYS[by.node_id])).data)
        self.changed()

    def changed(self) -> None:
        for service in self.nodes.values():
            service.changed()

    def counted(self, who: Certificate, unmatched: int = 0, **rules: int) -> None:
        """It has counted so much since it started."""
        self.counts[who.node_id] = RuleHits(rules, unmatched)

    async def report(self, *who: Certificate) -> list[bool]:
        return [await self.nodes[each.node_id]._reported() for each in who or EVERYBODY]

    def write(self, who: Certificate = HOME) -> None:
        self.nodes[who.node_id]._write()

    async def sums(self, asked: Certificate = HOME) -> list[int]:
        """Flows of each rule and of none, as one node is told."""
        return [each.flows for each in (await self.nodes[asked.node_id].hits(ALL)).rules]


@pytest.fixture
def mesh(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Mesh:
    monkeypatch.setattr(clock, "wall", lambda: NOW)
    monkeypatch.setattr(module, "AGAIN", 0.0)
    return Mesh(tmp_path)


async def test_the_scribe_sums_what_all_report_and_tells_operators_the_ca_and_itself(mesh: Mesh) -> None:
    mesh.counted(HOME, r1=5)
    mesh.counted(RELAY, 2, r1=7, r2=1, gone=40)
    mesh.counted(CAM, 1)
    assert await mesh.report() == [True] * 4

    for asked in (HOME, CAM, KEEPER):
        found = await mesh.nodes[asked.node_id].hits(ALL)
        first, second, end = found.rules
        assert (found.counted_by, found.here, found.version) == ("home", False, "1.2")
        assert (first.id, first.flows, first.last, first.nodes_count) == ("r1", 12, NOW, 2)
        assert first.nodes == [NodeHits("relay", 7), NodeHits("home", 5)]
        assert (second.flows, end.id, end.flows, end.index) == (1, "", 3, 0)


async def test_who_is_no_operator_is_told_its_own_alone_and_how_to_ask(mesh: Mesh) -> None:
    mesh.counted(RELAY, 2, r1=7)
    with pytest.raises(Refused, match=r"relay .*is no operator.*--here\nMake it one, on the CA: pulse ca grant"):
        await mesh.sums(RELAY)

    own = await mesh.nodes[RELAY.node_id].hits(HERE)
    assert ([each.flows for each in own.rules], own.counted_by, own.here) == ([7, 0, 2], "relay", True)


async def test_nothing_is_said_while_there_is_nothing_to_say(mesh: Mesh) -> None:
    assert await mesh.report() == [True] * 4
    mesh.counted(RELAY, r1=1)
    await mesh.report()
    mesh.write()
    await mesh.report()
    await mesh.report()

    assert mesh.calls == [MethodName.HITS] * 2  # once more, to hear that it is on disk


async def test_an_answer_that_is_lost_doubles_nothing(mesh: Mesh) -> None:
    mesh.counted(RELAY, r1=3)
    mesh.deaf.add(RELAY.node_id)
    assert await mesh.report(RELAY, RELAY) == [False, False]
    mesh.deaf.clear()
    mesh.counted(RELAY, r1=4)
    await mesh.report(RELAY)

    assert await mesh.sums() == [4, 0, 0]


async def test_a_scribe_killed_before_it_wrote_is_told_again_and_counts_once(mesh: Mesh) -> None:
    mesh.counted(RELAY, r1=3)
    await mesh.report(RELAY)
    mesh.write()
    mesh.counted(RELAY, r1=9)
    await mesh.report(RELAY)
    mesh.start(HOME)
    assert await mesh.sums() == [3, 0, 0]

    await mesh.report(RELAY)
    assert await mesh.sums() == [9, 0, 0]


async def test_a_node_that_starts_anew_counts_on_top(mesh: Mesh) -> None:
    mesh.counted(RELAY, r1=3)
    await mesh.report(RELAY)
    mesh.start(RELAY, counts=RuleHits({"r1": 2}, 0))
    await mesh.report(RELAY)

    assert await mesh.sums() == [5, 0, 0]


async def test_a_new_scribe_goes_on_with_what_nodes_that_run_have_counted(mesh: Mesh) -> None:
    mesh.counted(CAM, r1=3)
    await mesh.report()
    mesh.appoint(RELAY, 2)
    mesh.ruled(2, 3, RULES, RELAY)
    mesh.counted(CAM, r1=4)
    await mesh.report()
    assert await mesh.sums(RELAY) == [4, 0, 0]
    with pytest.raises(LinkError, match="does not sum hits"):
        await mesh.nodes[HOME.node_id].report(CAM.node_id, pack(Report(bytes(16), 1, {"r1": 9})))

    mesh.appoint(HOME, 3)
    mesh.ruled(3, 4, RULES)
    await mesh.report()
    assert await mesh.sums() == [4, 0, 0]


async def test_what_was_counted_for_a_rule_that_is_gone_vanishes_at_once(mesh: Mesh) -> None:
    mesh.counted(CAM, r1=3, r2=4)
    await mesh.report()
    mesh.ruled(1, 3, [RULES[1], structs.replace(RULES[0], id="r3")])
    assert await mesh.sums() == [4, 0, 0]
    await mesh.report()

    assert await mesh.sums() == [4, 0, 0]


async def test_an_unreachable_scribe_is_named_with_the_way_to_see_ones_own(mesh: Mesh) -> None:
    mesh.unreachable.add(HOME.node_id)
    mesh.counted(CAM, r1=3)

    assert await mesh.report(CAM) == [False]
    with pytest.raises(LinkError, match=r"home .*sums the hits.*\nThose of this node: pulse acl hits --here"):
        await mesh.sums(CAM)


async def test_a_network_without_rules_asks_nobody(mesh: Mesh) -> None:
    mesh.ruled(1, 3, [])
    mesh.unreachable.add(HOME.node_id)

    found = await mesh.nodes[RELAY.node_id].hits(ALL)

    assert (found.open, found.rules, mesh.calls) == (True, [], [])


async def test_what_is_no_report_and_what_a_revoked_node_says_is_refused(mesh: Mesh) -> None:
    with pytest.raises(ProtocolError):
        await mesh.nodes[HOME.node_id].report(CAM.node_id, b"\x93")
    mesh.offices[HOME.node_id].revoke(CAM)
    with pytest.raises(Refused, match="revoked"):
        await mesh.nodes[HOME.node_id].report(CAM.node_id, pack(Report(bytes(16), 1, {"r1": 9})))

    assert await mesh.sums() == [0, 0, 0]


async def test_a_full_disk_costs_a_warning_and_nothing_is_acknowledged(
    mesh: Mesh, fill_disk: Callable[[], None], caplog: pytest.LogCaptureFixture
) -> None:
    mesh.counted(RELAY, r1=3)
    await mesh.report(RELAY)
    fill_disk()
    mesh.write()

    assert "sums of hits not written" in caplog.text
    await mesh.report(RELAY)
    assert mesh.calls == [MethodName.HITS] * 2
    assert await mesh.sums() == [3, 0, 0]


async def test_it_reports_by_itself_and_writes_when_it_ends(mesh: Mesh, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PAUSE", 0.001)
    monkeypatch.setattr(module, "AGAIN", 3600.0)
    async with asyncio.timeout(10), asyncio.TaskGroup() as tasks:
        running = tasks.create_task(mesh.nodes[HOME.node_id].run())
        mesh.counted(HOME, r1=1)
        while await mesh.sums() != [1, 0, 0]:
            await asyncio.sleep(0.001)
        running.cancel()

    assert [each.flows for each in store.load(mesh.offices[HOME.node_id].place)[0].sums().sums] == [1]
