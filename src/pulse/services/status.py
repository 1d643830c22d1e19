"""Tells how the mesh looks from here: the sentence on top, a row a node, the counters below.

Invariant: a node is shown as reachable exactly while routing has a path to it, with the figures of that very path.
"""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

from pulse import release
from pulse.core.health import Company, judge
from pulse.core.mesh import Mesh
from pulse.core.paths.figures import Figures, PathSample, figures
from pulse.core.paths.neighbours import Unreached
from pulse.core.paths.pins import Standing, problem
from pulse.core.paths.routing import Path
from pulse.core.symptoms import Running
from pulse.core.trust.certificates import Certificate
from pulse.core.trust.members import label
from pulse.core.types import LinkId, LinkType, NodeId
from pulse.net.links import Links, PeerTraffic
from pulse.schemas.node import FecInfo, NodeIdentity, PeerRow, PortMapping, Status
from pulse.schemas.pin import PinInfo

NO_TRAFFIC = PeerTraffic(NodeId(""), 0, 0, 0, 0)


class Device(Protocol):
    """What this service asks of the TUN device."""

    name: str
    problem: str


class Mapping(Protocol):
    """What this service asks of the port mapping."""

    def mapping(self) -> PortMapping | None:
        """What is mapped now."""
        ...


class Way(NamedTuple):
    """How frames leave for a node, in words: the type of the first link, and the name of the first relay."""

    link: str = LinkType.NONE
    via: str = ""


@dataclass(frozen=True, slots=True)
class StatusService:
    """Reads what mesh, data plane and TUN know and says it in schemas; it changes nothing."""

    mesh: Mesh
    links: Links
    device: Device | None
    vitals: Callable[[], Running]
    version: str
    listen: str
    started: float
    """The event loop's time at start."""
    portmap: Mapping | None = None
    fec: bool = False
    """Parity is sent where packets get lost."""
    commit: str = field(default_factory=release.commit, init=False)
    """Read once: what is installed may be another by now."""

    def status(self) -> Status:
        """The mesh as this node sees it."""
        peers = self._peers()
        running, hits = self.vitals(), self.links.hits()
        health = judge(running, self._company(peers))
        return Status(
            well=health.well,
            sentence=health.sentence,
            node=self.identity(),
            version=self.version,
            uptime=_now() - self.started,
            listen=self.listen,
            tun="" if self.device is None or self.device.problem else self.device.name,
            certificate_left=running.certificate_left,
            peers=peers,
            drops={reason: count for reason, count in self.links.drops().items() if count},
            rule_hits={rule: count for rule, count in hits.rules.items() if count},
            rule_misses=hits.unmatched,
            gossip=self.mesh.gossip.statistics(),
            portmap=self.portmap.mapping() if self.portmap else None,
            beacons=self.mesh.beacons.statistics(),
            ca_rotating=self.mesh.statements.chain.is_turning,
            in_force=self.mesh.statements.in_force,
            commit=self.commit,
            ranges_refused=[*running.ranges_refused],
            bypasses=[*running.bypasses],
        )

    def identity(self) -> NodeIdentity:
        """Who this node is."""
        me = self.mesh.me
        members = self.mesh.members
        return identity_of(me, self._roles(me), members.label(me), members.tags(me))

    def way_to(self, node: NodeId) -> Way:
        """How frames leave for `node` now."""
        return self._way(self._path_to(node))

    def figures_of(self, node: NodeId) -> Figures:
        """How good the path to `node` is."""
        path = self._path_to(node)
        measured = (each for each in self.links.paths() if path and (each.node, each.link) == (node, path.link))
        return self._figures(path, next(measured, None))

    def link_type(self, link: LinkId) -> str:
        """The type of a link of this node; `-` if it is gone."""
        neighbour = self.mesh.neighbours.get(link)
        if neighbour is None:
            return LinkType.NONE
        is_punched = neighbour.punched and neighbour.transport == LinkType.QUIC
        return LinkType.DIRECT_QUIC if is_punched else neighbour.transport

    def first_link_to(self, node: NodeId) -> tuple[str, NodeId]:
        """The type of the first link towards `node`, and the first relay, which is nobody for a direct path."""
        path = self._path_to(node)
        return self._way(path).link, (path.via if path and path.via else NodeId(""))

    def pin_of(self, node: NodeId) -> PinInfo | None:
        """To which way a person pinned `node`, and whether it is the one in use."""
        pin = self.mesh.routing.pin_of(node)
        if pin is None:
            return None
        name, via = (self.mesh.members.label_of(each) for each in (node, pin.via))
        return PinInfo(
            id=node,
            name=name,
            via=via,
            via_id=pin.via,
            direct=pin.via == node,
            followed=pin.standing is Standing.FOLLOWED,
            problem=problem(pin, name, via, reached=self._path_to(node) is not None),
        )

    # Details

    def _path_to(self, node: NodeId) -> Path | None:
        """The path in use; none in the moment in which its link is gone and routing has not looked yet."""
        path = self.mesh.routing.path_to(node)
        return path if path and self.mesh.neighbours.get(path.link) else None

    def _way(self, path: Path | None) -> Way:
        if path is None or self.mesh.neighbours.get(path.link) is None:
            return Way()
        return Way(self.link_type(path.link), self.mesh.members.label_of(path.via) if path.via else "")

    def _roles(self, certificate: Certificate) -> list[str]:
        roles = ["ca"] if certificate.is_ca else []
        if self.mesh.statements.roles.scribe == certificate.node_id:
            roles.append("scribe")
        if certificate.node_id in self.mesh.statements.roles.operators:
            roles.append("operator")
        if self.mesh.beyond.is_exit(certificate.node_id):
            roles.append("exit")
        return roles

    def _peers(self) -> list[PeerRow]:
        traffic = {each.node: each for each in self.links.traffic()}
        samples = {(each.node, each.link): each for each in self.links.paths()}
        # Of several places where a node was tried the first is shown: one that a person named.
        lost = {each.node: each for each in reversed(self.mesh.neighbours.unreached())}
        rows = []
        for peer in self.mesh.members.all():
            node = peer.node_id
            if node == self.mesh.me.node_id:
                continue
            path = self._path_to(node)
            sample = samples.get((node, path.link)) if path else None
            rows.append(self._row(peer, path, sample, traffic.get(node, NO_TRAFFIC), lost.get(node)))
        return sorted(rows, key=lambda row: (not row.reached, row.name))

    def _row(
        self,
        peer: Certificate,
        path: Path | None,
        sample: PathSample | None,
        traffic: PeerTraffic,
        lost: Unreached | None,
    ) -> PeerRow:
        way = self._way(path)
        known = self._figures(path, sample)
        record = self.mesh.gossip.record(peer.node_id)
        return PeerRow(
            id=peer.node_id,
            name=self.mesh.members.label(peer),
            v4=str(peer.addresses.v4),
            v6=str(peer.addresses.v6),
            roles=self._roles(peer),
            link=way.link,
            via=way.via,
            rtt=known.rtt,
            jitter=known.jitter,
            loss=known.loss,
            suspect=known.suspect,
            seen=0.0 if path else self._seen(peer.node_id),
            address=self._address(path, lost),
            last_error=lost.last_error if lost else "",
            bytes_in=traffic.bytes_in,
            bytes_out=traffic.bytes_out,
            tags=list(self.mesh.members.tags(peer)),
            hops=len(path.hops) if path else 0,
            boot=record.boot if record else 0,
            pinned=self.pin_of(peer.node_id),
            mtu=traffic.mtu if path else 0,
            lan=peer.node_id in self.mesh.heard.members(),
            fec=_protection(sample, traffic) if self.fec else None,
            path=list(path.hops) if path else [],
            version=record.version if record else "",
        )

    def _figures(self, path: Path | None, sample: PathSample | None) -> Figures:
        return figures(self.mesh.probe.quality(path.link), sample, path, direct=path.direct) if path else Figures()

    def _address(self, path: Path | None, lost: Unreached | None) -> str:
        neighbour = self.mesh.neighbours.get(path.link) if path and path.via is None else None
        if neighbour is not None:
            return neighbour.observed
        return lost.address if lost else ""

    def _seen(self, node: NodeId) -> float | None:
        last = (self.mesh.linkstate.last_reached(node), self.mesh.neighbours.parted_at(node))
        moments = [each for each in last if each is not None]
        return _now() - max(moments) if moments else None

    def _company(self, peers: Sequence[PeerRow]) -> Company:
        """Places where nobody was met yet are company that is away."""
        strangers = sum(each.node is None for each in self.mesh.neighbours.unreached())
        reached, relayed = sum(row.reached for row in peers), sum(bool(row.via) for row in peers)
        return Company(reached - relayed, relayed, len(peers) - reached + strangers)


def _protection(sample: PathSample | None, traffic: PeerTraffic) -> FecInfo:
    return FecInfo(
        parity=sample.parity if sample else 0,
        duplicate=sample.duplicate if sample else False,
        parity_out=traffic.parity_out,
        parity_in=traffic.parity_in,
        repaired=traffic.repaired,
        unrepairable=traffic.unrepairable,
    )


def identity_of(
    certificate: Certificate, roles: Sequence[str] = (), name: str = "", tags: Sequence[str] | None = None
) -> NodeIdentity:
    """A node as its certificate tells of it, but under the name and with the tags people gave it, if they did."""
    return NodeIdentity(
        id=certificate.node_id,
        name=name or label(certificate),
        network=certificate.network.name,
        ca_hash=certificate.network.ca_hash,
        v4=str(certificate.addresses.v4),
        v6=str(certificate.addresses.v6),
        roles=list(roles),
        tags=list(certificate.tags if tags is None else tags),
    )


def _now() -> float:
    return asyncio.get_running_loop().time()
