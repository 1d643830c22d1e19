"""Tells metrics: what this node sees and counts, and on the scribe what all have reported.

Invariant: labels have a bounded number of values; what is left out for that is counted in `pulse_series_omitted`.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import islice
from typing import Final, Protocol

from pulse import clock
from pulse.core.mesh import Mesh
from pulse.core.paths.figures import PathSample, figures
from pulse.core.types import NodeId
from pulse.errors import PulseError
from pulse.schemas.node import Status
from pulse.schemas.stats import Family, Traffic
from pulse.schemas.tokens import TokenInfo

MOST: Final = 1_000
"""Nodes, peers and paths that are told, of each; in meshes with more the rest is a number."""

OTHER: Final = "_other"
"""Stands for rules of the past among those whose hits are told."""

TOKENS_EVERY: Final = 30.0
"""Seconds for which a count of tokens is good, or a failure to get one: the CA may be elsewhere."""

TOKENS_PATIENCE: Final = 2.0
"""Seconds for the CA to answer; Prometheus gives up after ten."""


_PEER: Final = ("node_id", "name")
_PATH: Final = ("node_id", "name", "via")

FAMILIES: Final = (
    Family("pulse_peers_total", "gauge", "Other nodes that this node knows."),
    Family("pulse_peers_connected", "gauge", "Those to which it has a path."),
    Family("pulse_peer_latency_ms", "gauge", "Round trip to a peer over the path in use, in milliseconds.", _PEER),
    Family("pulse_peer_loss_ratio", "gauge", "Part of the packets that the path in use loses, 0 to 1.", _PEER),
    Family("pulse_peer_link_type", "gauge", "1 for the type of the first link: direct_quic, quic, websocket or none.",
           (*_PEER, "type")),
    Family("pulse_node_stats_bytes_in", "counter", "Bytes a node had from the mesh, as it reported.", ("node_id",)),
    Family("pulse_node_stats_bytes_out", "counter", "Bytes a node sent into the mesh, as it reported.", ("node_id",)),
    Family("pulse_node_stats_active_conns", "gauge", "Connections of a node that are open, as it reported.",
           ("node_id",)),
    Family("pulse_cert_expiry_seconds", "gauge", "Seconds until this node's certificate ends."),
    Family("pulse_acl_rules_total", "gauge", "Rules in force."),
    Family("pulse_tokens_valid", "gauge", "Join tokens that are good; told where they may be seen."),
    Family("pulse_node_info", "gauge", "1, for this node and its network.", ("node_id", "network_id")),
    Family("pulse_build_info", "gauge", "1, for the pulse that runs.", ("version", "commit")),
    Family("pulse_well", "gauge", "1 if all is well, as pulse status says."),
    Family("pulse_uptime_seconds", "gauge", "Seconds since this node started."),
    Family("pulse_config_scribe_epoch", "gauge", "Scribe epoch of the network config in force."),
    Family("pulse_config_generation", "gauge", "Generation of the network config in force."),
    Family("pulse_sessions", "gauge", "Sessions with other nodes."),
    Family("pulse_streams", "gauge",
           "Streams that are open: those of programs, forwards and the SOCKS proxy, and of others to here."),
    Family("pulse_streams_total", "counter", "Streams there were since this node started, those included."),
    Family("pulse_streams_cut_total", "counter",
           "Those that did not end by themselves: reset by a program, lost with a node, cut by rules."),
    Family("pulse_socks_connections", "gauge", "Clients of the SOCKS proxy that are connected."),
    Family("pulse_socks_connections_total", "counter",
           "Clients of the SOCKS proxy that were let through, those included."),
    Family("pulse_socks_refused_total", "counter", "Clients of the SOCKS proxy that were told why not."),
    Family("pulse_socks_bytes_in_total", "counter",
           "Bytes that clients of the SOCKS proxy got, of those that are gone."),
    Family("pulse_socks_bytes_out_total", "counter", "Bytes that they sent."),
    Family("pulse_peer_hops", "gauge", "Links on the way to a peer.", _PEER),
    Family("pulse_peer_cert_expiry_seconds", "gauge", "Seconds until the newest certificate seen of a peer ends.",
           _PEER),
    Family("pulse_peer_bytes_in_total", "counter", "Bytes of IP packets from a peer.", _PEER),
    Family("pulse_peer_bytes_out_total", "counter", "Bytes of IP packets to a peer.", _PEER),
    Family("pulse_path_rtt_ms", "gauge", "Round trip over each path that is measured, in milliseconds.", _PATH),
    Family("pulse_path_loss_ratio", "gauge", "Part of the packets that each path loses, 0 to 1.", _PATH),
    Family("pulse_path_suspect", "gauge", "1 while a path does not carry what is sent on it.", _PATH),
    Family("pulse_fec_parity_in_total", "counter", "Parity packets from a peer.", _PEER),
    Family("pulse_fec_parity_out_total", "counter", "Parity packets to a peer.", _PEER),
    Family("pulse_fec_repaired_total", "counter", "Packets from a peer that were lost and repaired.", _PEER),
    Family("pulse_fec_unrepairable_total", "counter", "Packets from a peer that were lost, too many at a time.", _PEER),
    Family("pulse_drops_total", "counter", "Packets that this node dropped.", ("reason",)),
    Family("pulse_policy_hits_total", "counter", "Flows that a rule decided on at this node.", ("rule",)),
    Family("pulse_policy_misses_total", "counter", "Flows that no rule matched, so denied."),
    Family("pulse_gossip_bytes_in_total", "counter", "Bytes of messages from neighbours: gossip, roles, configs."),
    Family("pulse_gossip_bytes_out_total", "counter", "Bytes of messages to neighbours."),
    Family("pulse_gossip_records", "gauge", "Node records held."),
    Family("pulse_ranges_refused", "gauge", "Approved ranges beyond the mesh that no exit carries."),
    Family("pulse_bypasses", "gauge",
           "Routes of this machine by which packets for the Internet go past the exit in use."),
    Family("pulse_series_omitted", "gauge", "What is not told of because there is too much of it.", ("of",)),
)  # fmt: skip
"""Every metric there is; those without a sample now are not told."""

_BY_NAME: Final = {each.name: each for each in FAMILIES}

Sample = tuple[str, tuple[str, ...], float]
"""Name of the family, values of its labels, value."""


class Talk(Protocol):
    """Bytes of messages on links."""

    bytes_in: int
    bytes_out: int


class StreamCounts(Protocol):
    """Streams, of whoever opened them."""

    cut: int

    @property
    def active(self) -> int: ...
    @property
    def total(self) -> int: ...


class SocksCounts(Protocol):
    """Clients of the SOCKS proxy."""

    active: int
    total: int
    refused: int
    bytes_in: int
    bytes_out: int


class DataPlane(Protocol):
    """What this service asks of the data plane."""

    def drops(self) -> dict[str, int]: ...
    def paths(self) -> list[PathSample]: ...
    def sessions(self) -> int: ...


@dataclass(slots=True)
class MetricsService:
    """Reads what the node knows and says it as samples; it changes nothing."""

    mesh: Mesh
    links: DataPlane
    talk: Talk
    status: Callable[[], Status]
    traffic: Callable[[], Mapping[str, Traffic]]
    """By node id, of those whose is known here."""
    tokens: Callable[[], Awaitable[Sequence[TokenInfo]]]
    streams: StreamCounts | None = None
    socks: SocksCounts | None = None
    """None where there is no proxy."""
    _valid: int | None = field(default=None, init=False)
    """Tokens that were good when they were last looked at."""
    _looked: float | None = field(default=None, init=False)

    async def metrics(self) -> dict[Family, dict[tuple[str, ...], float]]:
        """Every family, with its samples now; names of peers are told, so it is for who may see the status."""
        await self._look_at_tokens()
        found: dict[Family, dict[tuple[str, ...], float]] = {each: {} for each in FAMILIES}
        status = self.status()
        parts = self._node(status), self._streams(), self._peers(status), self._paths(), self._nodes()
        for samples in (*parts, self._counters(status)):
            for name, labels, value in samples:
                found[_BY_NAME[name]][labels] = value
        return found

    # Details

    def _node(self, status: Status) -> Iterator[Sample]:
        node = status.node
        yield "pulse_node_info", (node.id, node.network), 1
        yield "pulse_build_info", (status.version, status.commit), 1
        yield "pulse_well", (), int(status.well)
        yield "pulse_uptime_seconds", (), status.uptime
        yield "pulse_cert_expiry_seconds", (), status.certificate_left
        yield "pulse_peers_total", (), len(status.peers)
        yield "pulse_peers_connected", (), sum(peer.reached for peer in status.peers)
        yield "pulse_sessions", (), self.links.sessions()
        yield "pulse_ranges_refused", (), len(status.ranges_refused)
        yield "pulse_bypasses", (), len(status.bypasses)
        if config := self.mesh.statements.config:
            yield "pulse_acl_rules_total", (), len(config.config.acl)
            yield "pulse_config_scribe_epoch", (), config.number[0]
            yield "pulse_config_generation", (), config.number[1]
        if self._valid is not None:
            yield "pulse_tokens_valid", (), self._valid

    def _streams(self) -> Iterator[Sample]:
        if streams := self.streams:
            yield "pulse_streams", (), streams.active
            yield "pulse_streams_total", (), streams.total
            yield "pulse_streams_cut_total", (), streams.cut
        if socks := self.socks:
            yield "pulse_socks_connections", (), socks.active
            yield "pulse_socks_connections_total", (), socks.total
            yield "pulse_socks_refused_total", (), socks.refused
            yield "pulse_socks_bytes_in_total", (), socks.bytes_in
            yield "pulse_socks_bytes_out_total", (), socks.bytes_out

    def _peers(self, status: Status) -> Iterator[Sample]:
        """Those that are reached come first, so they are the last to be left out."""
        for peer in status.peers[:MOST]:
            labels = (peer.id, peer.name)
            yield "pulse_peer_link_type", (*labels, peer.link if peer.reached else "none"), 1
            if peer.rtt is not None:
                yield "pulse_peer_latency_ms", labels, peer.rtt * 1000
            if peer.loss is not None:
                yield "pulse_peer_loss_ratio", labels, peer.loss
            yield "pulse_peer_hops", labels, peer.hops
            yield "pulse_peer_bytes_in_total", labels, peer.bytes_in
            yield "pulse_peer_bytes_out_total", labels, peer.bytes_out
            if certificate := self.mesh.members.get(NodeId(peer.id)):
                yield "pulse_peer_cert_expiry_seconds", labels, certificate.not_after - clock.wall()
            if peer.fec:
                yield "pulse_fec_parity_in_total", labels, peer.fec.parity_in
                yield "pulse_fec_parity_out_total", labels, peer.fec.parity_out
                yield "pulse_fec_repaired_total", labels, peer.fec.repaired
                yield "pulse_fec_unrepairable_total", labels, peer.fec.unrepairable
        yield "pulse_series_omitted", ("peers",), max(0, len(status.peers) - MOST)

    def _paths(self) -> Iterator[Sample]:
        paths = sorted(self.links.paths(), key=lambda each: (each.node, each.link))
        for path in paths[:MOST]:
            neighbour = self.mesh.neighbours.get(path.link)
            if neighbour is None:
                continue
            in_use, direct = self.mesh.routing.path_to(path.node), neighbour.node == path.node
            announced = in_use if in_use and in_use.link == path.link else None
            known = figures(self.mesh.probe.quality(path.link), path, announced, direct=direct)
            label = self.mesh.members.label_of
            labels = (path.node, label(path.node), "" if direct else label(neighbour.node))
            if known.rtt is not None:
                yield "pulse_path_rtt_ms", labels, known.rtt * 1000
            if known.loss is not None:
                yield "pulse_path_loss_ratio", labels, known.loss
            yield "pulse_path_suspect", labels, int(known.suspect)
        yield "pulse_series_omitted", ("paths",), max(0, len(paths) - MOST)

    def _nodes(self) -> Iterator[Sample]:
        traffic = self.traffic()
        for node, moved in islice(sorted(traffic.items()), MOST):
            yield "pulse_node_stats_bytes_in", (node,), moved.bytes_in
            yield "pulse_node_stats_bytes_out", (node,), moved.bytes_out
            yield "pulse_node_stats_active_conns", (node,), moved.active_conns
        yield "pulse_series_omitted", ("nodes",), max(0, len(traffic) - MOST)

    def _counters(self, status: Status) -> Iterator[Sample]:
        for reason, count in self.links.drops().items():
            yield "pulse_drops_total", (reason,), count
        config = self.mesh.statements.config
        rules = [rule.id for rule in config.config.acl] if config else []
        for rule in rules:
            yield "pulse_policy_hits_total", (rule,), status.rule_hits.get(rule, 0)
        past = sum(count for rule, count in status.rule_hits.items() if rule not in rules)
        yield "pulse_policy_hits_total", (OTHER,), past
        yield "pulse_policy_misses_total", (), status.rule_misses
        yield "pulse_gossip_bytes_in_total", (), self.talk.bytes_in
        yield "pulse_gossip_bytes_out_total", (), self.talk.bytes_out
        yield "pulse_gossip_records", (), status.gossip.get("records", 0)

    async def _look_at_tokens(self) -> None:
        """Count those that are good, now and then, where this node may: on the CA, the scribe, an operator."""
        statements, now = self.mesh.statements, asyncio.get_running_loop().time()
        if not (self.mesh.me.is_ca or statements.roles.may_edit(self.mesh.me.node_id, self.mesh.ca_nodes())):
            self._valid = self._looked = None
            return
        if self._looked is not None and now - self._looked < TOKENS_EVERY:
            return
        self._looked, self._valid = now, None
        with suppress(PulseError, TimeoutError):
            async with asyncio.timeout(TOKENS_PATIENCE):
                self._valid = sum(token.state == "good" for token in await self.tokens())
