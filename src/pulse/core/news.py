"""What one machine tells, and which others hear it: the table of the whole mesh.

Invariant: nothing is decided here, and what is heard tells more news or effects, never both halves of a decision.
"""

from collections.abc import Iterable
from ipaddress import IPv4Network

from pulse.core.effects import INFO, Effect, Log, StorePeers
from pulse.core.machines import Machines
from pulse.core.network.sharing import LinkSettled
from pulse.core.network.timetable import HoursTurned
from pulse.core.paths import news as paths
from pulse.core.paths.news import (
    CertificateAccepted,
    GraphChanged,
    HoleOpened,
    NodeExpired,
    NodeHeard,
    NodeReturned,
    NodesWanted,
    OwnRecordSeen,
    RecordAccepted,
    RecordForgotten,
    RecordMade,
    RoutesChanged,
)
from pulse.core.trust.certificates import Certificate, as_utc
from pulse.core.trust.identity import mesh_prefix
from pulse.core.trust.renewal import spread_of
from pulse.core.types import LinkId, NodeId

News = paths.News | LinkSettled | HoursTurned
Outcomes = Iterable[Effect | News]


def heard(of: Machines, news: News, now: float) -> Outcomes:
    """Hand one piece of news to the machines it is for."""
    match news:
        case LinkSettled(link):
            return link_settled(of, link, now)
        case RecordMade(record):
            of.offers.record_accepted(record)
            return [*of.gossip.record_made(record, now), *of.linkstate.record_accepted(record, now)]
        case RecordAccepted(record):
            _exits_seen(of, record.node, record.exits)
            of.announce.mesh_size(of.members.count())
            of.offers.record_accepted(record)
            claimed = of.me.addresses.v4 in (each.handle for each in record.adjacencies())
            return [
                *of.linkstate.record_accepted(record, now),
                *of.wanted.record_accepted(record, now),
                *of.announce.link_claimed(record.handle, claimed, now),
                *of.traversal.record_accepted(record, now),
            ]
        case RecordForgotten(node):
            of.offers.record_forgotten(node)
            _exits_seen(of, node, ())
            return [*of.linkstate.record_forgotten(node), *of.wanted.record_forgotten(node), *_unclaimed(of, node, now)]
        case CertificateAccepted(certificate):
            renewed = of.neighbours.certificate_renewed(certificate.node_id, spread_of(certificate), now)
            return [*certificate_seen(of, certificate), *renewed]
        case OwnRecordSeen(boot, seq, same_numbers):
            return of.announce.own_record_seen(boot, seq, same_numbers, now)
        case GraphChanged(graph):
            return of.routing.graph_changed(graph, now)
        case NodeExpired(node):
            return [*of.gossip.node_expired(node), *of.wanted.node_expired(node, now)]
        case NodeReturned(node):
            return [*of.gossip.node_returned(node), *of.wanted.node_returned(node, now)]
        case NodesWanted(nodes, others):
            return of.neighbours.nodes_wanted(nodes, others, now)
        case HoleOpened() | NodeHeard():
            return _found(of, news, now)
        case RoutesChanged() | HoursTurned():
            return _stale(of, news)


def _exits_seen(of: Machines, node: NodeId, exits: tuple[str, ...]) -> None:
    if of.beyond.record_seen(node, exits):
        of.tables_stale = of.rules_stale = True


def _found(of: Machines, news: HoleOpened | NodeHeard, now: float) -> Outcomes:
    match news:
        case HoleOpened(node, address, attempt):
            return of.neighbours.hole_opened(node, address, attempt)
        case NodeHeard(node, place):
            return [*of.wanted.node_heard(now), *of.neighbours.node_heard(node, place, now)]


def _stale(of: Machines, news: RoutesChanged | HoursTurned) -> Outcomes:
    match news:
        case RoutesChanged():
            of.tables_stale = True
        case HoursTurned():
            of.rules_stale = True
    return []


def _unclaimed(of: Machines, node: NodeId, now: float) -> Outcomes:
    member = of.members.get(node)
    return of.announce.link_claimed(member.addresses.v4, False, now) if member else []


def link_settled(of: Machines, link: LinkId, now: float) -> Outcomes:
    """It may carry frames from now on, so it counts."""
    neighbour = of.neighbours.get(link)
    member = of.members.get(neighbour.node) if neighbour else None
    if neighbour is None or member is None:
        return []
    opened = of.linkstate.link_opened(link, neighbour.node, now)
    return [*opened, *of.announce.neighbour_up(member.addresses.v4, now)]


def certificate_seen(of: Machines, certificate: Certificate) -> Outcomes:
    """A verified certificate: its node has an address from now on."""
    if not of.members.certificate_seen(certificate):
        return []
    of.tables_stale = of.rules_stale = True
    return [StorePeers()]


def identity_renewed(of: Machines, certificate: Certificate, now: float) -> Outcomes:
    """We have our next certificate: tell the mesh, and show it to the neighbours before the one before ends."""
    of.me = certificate
    return [
        Log("certificate renewed", INFO, {"until": as_utc(certificate.not_after)}),
        *certificate_seen(of, certificate),
        *of.gossip.certificate_seen(certificate, now),
        *of.announce.certificate_renewed(certificate, now),
        *of.neighbours.certificate_renewed(None, spread_of(certificate), now),
    ]


def shown_before(of: Machines, certificate: Certificate, now: float) -> Outcomes:
    """A link came up with that certificate, dialled before its node had the one that gossip told us of."""
    newest = of.members.get(certificate.node_id)
    if newest is None or newest.not_before <= certificate.not_before:
        return []
    return of.neighbours.old_certificate_shown(certificate.node_id, spread_of(newest), now)


def config_changed(of: Machines, now: float) -> Outcomes:
    """Another network config is in force: packets may pass that could not, in another range, by other rules."""
    of.tables_stale = of.rules_stale = True
    v4 = of.statements.mesh_cidr()
    offered = of.announce.exits_offered((str(each.announced) for each in of.beyond.offered()), now)
    return [*offered, *_ranges_known(of, v4)]


def _ranges_known(of: Machines, v4: IPv4Network | None) -> Outcomes:
    return of.neighbours.ranges_known((*([v4] if v4 else ()), mesh_prefix(of.me.network)))


def seen_elsewhere(of: Machines, now: float) -> Outcomes:
    """We are reached elsewhere, or seen elsewhere: tell the mesh, and dial nobody there."""
    told = of.announce.addresses_changed(of.sight.candidates(), now, is_open=of.sight.is_open())
    return [*of.neighbours.own_addresses(of.sight.own()), *told]


def trust_changed(of: Machines, now: float) -> Outcomes:
    """Revocations, roles or CA keys are others: who is out is gone from every machine."""
    revoked = of.statements.revoked()
    of.tables_stale = of.rules_stale = True
    outcomes: list[Effect | News] = [*of.neighbours.peers_banished(revoked)]
    outcomes += of.announce.chain_grew(of.statements.chain.number, now)
    outcomes += of.gossip.revocations_changed(revoked)
    outcomes += of.linkstate.revocations_changed(revoked)
    outcomes += of.traversal.peers_banished(revoked, now)
    for member in [each for each in of.members.all() if each.node_id in revoked]:
        of.members.node_revoked(member.node_id)
        outcomes += of.announce.neighbour_down(member.addresses.v4, now)
        outcomes.append(StorePeers())
    return outcomes
