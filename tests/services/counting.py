"""Nodes that count and report, with whoever is the scribe; for tests."""

from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from random import Random

import pytest

from pulse import clock
from pulse.core.messages import MethodName
from pulse.core.network.hits import HITS
from pulse.core.network.netconfig import Config, Settings, sign_config
from pulse.core.network.policy import Rule
from pulse.core.stats import TRAFFIC
from pulse.core.trust.certificates import Certificate
from pulse.core.types import NodeId
from pulse.errors import LinkError
from pulse.net.links import PeerTraffic, RuleHits
from pulse.schemas.policy import HitsQuery
from pulse.schemas.stats import StatsQuery
from pulse.services.hits import HitsService
from pulse.services.stats import StatsService
from pulse.services.tally import TallyService, restored
from tests.authority import MESH, NOW, key
from tests.services.office import CA, CAM, HOME, KEEPER, RELAY, Office

EVERYBODY = (KEEPER, HOME, RELAY, CAM)
KEYS = {HOME.node_id: "home", RELAY.node_id: "relay"}
RULES = [Rule("r1", ["*"], ["home"], allow=True), Rule("r2", ["*"], ["*"], allow=False)]


@dataclass
class Mesh:
    """Every node with its counts; a node that is not reachable answers nobody."""

    place: Path
    offices: dict[NodeId, Office] = field(default_factory=dict)
    hit: dict[NodeId, RuleHits] = field(default_factory=dict)
    traffic: dict[NodeId, list[PeerTraffic]] = field(default_factory=dict)
    hits: dict[NodeId, HitsService] = field(default_factory=dict)
    stats: dict[NodeId, StatsService] = field(default_factory=dict)
    nodes: dict[NodeId, TallyService] = field(default_factory=dict)
    unreachable: set[NodeId] = field(default_factory=set)
    deaf: set[NodeId] = field(default_factory=set)
    """Answers to these are lost on the way."""
    calls: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        for each in EVERYBODY:
            self.offices[each.node_id] = Office(self.place / each.node_id[:8])
            self.start(each)
        self.appoint(HOME)
        self.ruled(1, 2, RULES)

    def start(self, who: Certificate) -> None:
        """Start its daemon, again: what was in memory is gone, and it counts from nothing."""
        me, office = who.node_id, self.offices[who.node_id]
        self.hit[me], self.traffic[me] = RuleHits({}, 0), []

        async def call(node: NodeId, method: str, body: bytes, _: float) -> bytes:
            self.calls.append(method)
            if node in self.unreachable:
                raise LinkError("no link leads there")
            methods = {**self.nodes[node].methods, MethodName.STATS_PEERS: self.stats[node].by_peer}
            answer = await methods[method](me, body)
            if me in self.deaf:
                raise LinkError("no answer came")
            return answer

        who_and_what = (me, office.statements, office.members, office.ca_nodes)
        hits = HitsService(*who_and_what, lambda: self.hit[me], call, restored(office.place, HITS))
        stats = StatsService(*who_and_what, lambda: self.traffic[me], call, restored(office.place, TRAFFIC))
        node = TallyService(me, office.statements, call, office.place, (hits, stats), stats.look, Random(1))
        hits.refresh, stats.refresh = partial(node.refresh, hits), partial(node.refresh, stats)
        self.hits[me], self.stats[me], self.nodes[me] = hits, stats, node

    def appoint(self, who: Certificate, epoch: int = 1) -> None:
        """The CA names a scribe; cam-7 is an operator."""
        for office in self.offices.values():
            office.appoint(who, epoch, frozenset({CAM.node_id}))

    def ruled(self, epoch: int, generation: int, rules: list[Rule], by: Certificate = HOME) -> None:
        """The scribe signs these rules, and all have them."""
        config = Config(epoch, generation, Settings(str(MESH)), acl=rules)
        for office in self.offices.values():
            office.hear(sign_config(CA.network, config, key(KEYS[by.node_id])).data)

    def counted(self, who: Certificate, unmatched: int = 0, **rules: int) -> None:
        """It has counted so many flows by rule since it started."""
        self.hit[who.node_id] = RuleHits(rules, unmatched)

    def moved(self, who: Certificate, peer: Certificate, came: int, went: int = 0) -> None:
        """It has exchanged so many bytes with a peer since it started."""
        others = [each for each in self.traffic[who.node_id] if each.node != peer.node_id]
        self.traffic[who.node_id] = [*others, PeerTraffic(peer.node_id, went // 100, went, came // 100, came)]

    async def report(self, *who: Certificate) -> list[bool]:
        return [await self.nodes[each.node_id].report() for each in who or EVERYBODY]

    def write(self, who: Certificate = HOME) -> None:
        self.nodes[who.node_id].write()

    async def flows(self, asked: Certificate = HOME) -> list[int]:
        """Flows of each rule and of none, as one node is told."""
        return [each.flows for each in (await self.hits[asked.node_id].hits(HitsQuery())).rules]

    async def bytes(self, asked: Certificate = HOME) -> dict[str, tuple[int, int]]:
        """Bytes in and out of each node that has any, as one node is told."""
        rows = (await self.stats[asked.node_id].stats(StatsQuery())).rows
        return {each.name: (each.bytes_in, each.bytes_out) for each in rows if each.bytes_in or each.bytes_out}


@pytest.fixture
def mesh(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Mesh:
    """At one time of the wall clock."""
    monkeypatch.setattr(clock, "wall", lambda: NOW)
    return Mesh(tmp_path)
