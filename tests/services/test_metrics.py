"""Metrics: what the node knows, in bounded sets of labels."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field

import pytest

from pulse import clock
from pulse.core.facts import LinkSample, LinksSampled
from pulse.core.messages import ObjectKind
from pulse.core.network.netconfig import Config, Settings, sign_config
from pulse.core.network.policy import Rule
from pulse.core.paths.figures import PathSample
from pulse.core.trust.roles import Roles, sign_roles
from pulse.core.types import LinkId, NodeId
from pulse.errors import LinkError
from pulse.net.links import PeerTraffic
from pulse.schemas.stats import Traffic
from pulse.schemas.tokens import TokenInfo
from pulse.services import metrics as module
from pulse.services.mesh import Talk
from pulse.services.metrics import FAMILIES, MetricsService
from tests.authority import MESH, NOW, key
from tests.services.shown import ALICE, BOB, CA, KEEPER, ME, Node

GOOD, OLD = (
    TokenInfo(f"{number:032x}", 0.0, None, 0, 0, [], None, False, state)
    for number, state in enumerate(("good", "expired"))
)


@dataclass
class Office:
    """Where tokens are kept."""

    tokens: list[TokenInfo] = field(default_factory=lambda: [GOOD, OLD, GOOD])
    asked: int = 0
    silent: bool = False
    gone: bool = False

    async def all(self) -> Sequence[TokenInfo]:
        self.asked += 1
        if self.silent:
            await asyncio.sleep(3600)
        if self.gone:
            raise LinkError("the CA gave no answer")
        return self.tokens


@dataclass
class Carried:
    """Counts of streams, and of clients of the proxy."""

    active: int = 2
    total: int = 7
    cut: int = 3
    refused: int = 4
    bytes_in: int = 100
    bytes_out: int = 50


@dataclass
class Told:
    """A node, and its metrics."""

    node: Node = field(default_factory=Node)
    office: Office = field(default_factory=Office)
    traffic: dict[str, Traffic] = field(default_factory=lambda: {ME.node_id: Traffic(10, 20, 3)})
    talk: Talk = field(default_factory=lambda: Talk(5, 6))

    def __post_init__(self) -> None:
        self.service = MetricsService(
            self.node.mesh, self.node.links, self.talk, self.node.status, lambda: self.traffic, self.office.all
        )

    async def values(self) -> dict[str, dict[tuple[str, ...], float]]:
        found = await self.service.metrics()
        assert list(found) == list(FAMILIES)
        assert all(len(labels) == len(family.labels) for family, samples in found.items() for labels in samples)
        return {family.name: samples for family, samples in found.items() if samples}

    def ruled(self, *rules: Rule) -> None:
        """This node is the scribe, and these rules are in force."""
        mesh = self.node.mesh
        roles = sign_roles(CA.network, Roles(1, ME.node_id, 1, frozenset(), ME.public_key), CA.key)
        config = sign_config(CA.network, Config(1, 7, Settings(str(MESH)), acl=list(rules)), key("me"))
        for kind, data in ((ObjectKind.ROLES, roles.data), (ObjectKind.CONFIG, config.data)):
            mesh.object_made(kind, data, self.node.when)


@pytest.fixture(autouse=True)
def now(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clock, "wall", lambda: NOW)


async def test_ranges_that_are_refused_and_routes_past_the_exits_are_counted() -> None:
    told = Told()
    values = await told.values()
    assert (values["pulse_ranges_refused"], values["pulse_bypasses"]) == ({(): 0}, {(): 0})
    told.node.used.closed, told.node.used.bypasses = ["::/0", "0.0.0.0/0"], ("128.0.0.0/1 dev eth0",)

    values = await told.values()
    assert (values["pulse_ranges_refused"], values["pulse_bypasses"]) == ({(): 2}, {(): 1})
    assert values["pulse_well"] == {(): 0}


async def test_a_node_tells_of_itself_and_of_its_peers() -> None:
    told = Told()
    told.node.links.peers = [PeerTraffic(ALICE.node_id, 1, 200, 1, 100)]
    told.node.meets(ALICE)
    told.node.knows(BOB)
    values = await told.values()

    alice, bob = (ALICE.node_id, "alice"), (BOB.node_id, "bob")
    assert values["pulse_node_info"] == {(ME.node_id, CA.network.name): 1}
    assert (values["pulse_peers_total"], values["pulse_peers_connected"]) == ({(): 2}, {(): 1})
    assert values["pulse_peer_link_type"] == {(*alice, "quic"): 1, (*bob, "none"): 1}
    assert values["pulse_peer_hops"] == {alice: 1, bob: 0}
    assert values["pulse_peer_bytes_in_total"][alice] == 100
    assert values["pulse_peer_cert_expiry_seconds"][bob] == BOB.not_after - NOW
    assert values["pulse_cert_expiry_seconds"] == {(): ME.not_after - NOW}
    assert values["pulse_sessions"] == {(): 1}
    assert values["pulse_gossip_bytes_in_total"] == {(): 5}
    assert values["pulse_drops_total"] == {("no_route",): 3, ("replay",): 0}
    assert values["pulse_node_stats_bytes_out"] == {(ME.node_id,): 20}
    assert values["pulse_node_stats_active_conns"] == {(ME.node_id,): 3}
    assert "pulse_peer_latency_ms" not in values, "nothing was measured yet"


async def test_paths_are_told_by_their_first_relay() -> None:
    told = Told()
    told.node.meets(ALICE)
    told.node.links.measured = [
        PathSample(BOB.node_id, LinkId(1), 0.02, 0.25, suspect=True),
        PathSample(BOB.node_id, LinkId(99), 0.02, 0.25, suspect=True),
        PathSample(ALICE.node_id, LinkId(1), None, 0.0, suspect=False),
    ]
    values = await told.values()

    bob = (BOB.node_id, BOB.node_id[:12], "alice")
    assert values["pulse_path_rtt_ms"] == {bob: 20.0}
    assert values["pulse_path_loss_ratio"] == {bob: 0.25, (ALICE.node_id, "alice", ""): 0.0}
    assert values["pulse_path_suspect"][bob] == 1


@pytest.mark.parametrize("reported", [None, 0.125])
async def test_a_path_in_use_has_the_figures_of_its_peer_as_the_status_has(reported: float | None) -> None:
    told = Told()
    told.node.meets(KEEPER)
    told.node.happened(LinksSampled((LinkSample(LinkId(1), 0.02, 0.001, 0.25),)))
    told.node.hears((KEEPER, ALICE))
    told.node.links.measured = [
        PathSample(who.node_id, LinkId(1), None, 0.0, suspect=True, reported=reported) for who in (KEEPER, ALICE)
    ]
    values = await told.values()

    for who, via in ((KEEPER, ""), (ALICE, "keeper")):
        peer, row = (who.node_id, told.node.row(who).name), told.node.row(who)
        assert row.rtt is not None
        assert values["pulse_path_rtt_ms"][*peer, via] == values["pulse_peer_latency_ms"][peer] == row.rtt * 1000
        assert values["pulse_path_loss_ratio"][*peer, via] == values["pulse_peer_loss_ratio"][peer] == row.loss
        assert values["pulse_path_suspect"][*peer, via] == row.suspect == 1
        assert told.node.service.figures_of(who.node_id) == (row.rtt, row.jitter, row.loss, row.suspect)


async def test_hits_are_told_of_rules_in_force_and_of_those_of_the_past_together() -> None:
    told = Told()
    before = await told.values()
    assert before["pulse_policy_hits_total"] == {(module.OTHER,): 2}
    told.ruled(Rule("ssh", ["*"], ["*"], allow=True), Rule("r2", ["*"], ["*"], allow=False))
    values = await told.values()

    assert values["pulse_policy_hits_total"] == {("ssh",): 2, ("r2",): 0, (module.OTHER,): 0}
    assert values["pulse_policy_misses_total"] == {(): 1}
    assert (values["pulse_acl_rules_total"], values["pulse_config_generation"]) == ({(): 2}, {(): 7})


async def test_parity_is_told_where_there_is_any() -> None:
    told = Told(Node(fec=True))
    told.node.links.peers = [PeerTraffic(ALICE.node_id, 1, 200, 1, 100, 0, 4, 3, 2, 1)]
    told.node.meets(ALICE)
    values = await told.values()

    alice = (ALICE.node_id, "alice")
    assert [
        values[f"pulse_fec_{what}_total"][alice] for what in ("parity_out", "parity_in", "repaired", "unrepairable")
    ] == [4, 3, 2, 1]


async def test_of_too_many_peers_and_nodes_the_rest_is_a_number(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST", 1)
    told = Told()
    told.node.meets(ALICE)
    told.node.knows(BOB)
    told.traffic = {NodeId(f"{number:064x}"): Traffic(1, 1) for number in range(4)}
    values = await told.values()

    assert values["pulse_peer_hops"] == {(ALICE.node_id, "alice"): 1}, "who is reached goes first"
    assert values["pulse_series_omitted"] == {("peers",): 1, ("paths",): 0, ("nodes",): 3}
    assert len(values["pulse_node_stats_bytes_in"]) == 1


async def test_tokens_are_counted_now_and_then_where_they_may_be_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    told = Told()
    assert "pulse_tokens_valid" not in await told.values()
    assert told.office.asked == 0

    told.ruled()
    assert [(await told.values())["pulse_tokens_valid"] for _ in range(2)] == [{(): 2}] * 2
    assert told.office.asked == 1
    monkeypatch.setattr(module, "TOKENS_EVERY", 0.0)
    told.office.gone = True
    assert "pulse_tokens_valid" not in await told.values()


async def test_a_ca_that_is_silent_holds_nobody_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "TOKENS_PATIENCE", 0.01)
    told = Told()
    told.ruled()
    told.office.silent = True

    for _ in range(2):
        assert "pulse_tokens_valid" not in await told.values()
    assert told.office.asked == 1, "nor is it asked again at once"


def test_names_are_those_that_monitoring_takes_and_stand_once() -> None:
    names = [family.name for family in FAMILIES]
    assert len(names) == len(set(names))
    assert all(name.replace("_", "").isalnum() and name.startswith("pulse_") for name in names)
    assert {family.kind for family in FAMILIES} == {"gauge", "counter"}


async def test_streams_and_clients_of_the_proxy_are_counted_where_there_is_one() -> None:
    told = Told()
    assert "pulse_streams" not in await told.values()
    told.service.streams = Carried()
    values = await told.values()
    assert [values[f"pulse_streams{each}"][()] for each in ("", "_total", "_cut_total")] == [2, 7, 3]
    assert "pulse_socks_connections" not in values
    told.service.socks = Carried()
    values = await told.values()
    names = ("connections", "connections_total", "refused_total", "bytes_in_total", "bytes_out_total")
    assert [values[f"pulse_socks_{each}"][()] for each in names] == [2, 7, 4, 100, 50]
