"""The nodes as names lead to them, for this node: what `core/network/directory.py` is made of.

Invariant: a node that the rules in force let this one reach at no port is hidden; this node sees itself.
"""

from collections.abc import Iterator

from pulse.core.machines import Machines
from pulse.core.network import directory
from pulse.core.network.directory import Directory, Host, Offer
from pulse.core.network.reach import anything
from pulse.core.trust.certificates import Certificate
from pulse.core.trust.identity import mesh_prefix
from pulse.core.types import SHORT_ID, NodeId


def known_names(of: Machines, now: float) -> Directory:
    """All that this node can be told at that moment."""
    hosts = [_host(of, each) for each in of.members.all()]
    shown = _reachable(of, now)
    config, me = of.statements.config, of.me
    return directory.made(
        me.node_id,
        [each for each in hosts if each.node in shown],
        [each for each in hosts if each.node not in shown],
        config.config.zones if config and of.statements.in_force else (),
        of.statements.mesh_cidr(),
        mesh_prefix(me.network),
        config.config.generation & 0xFFFFFFFF if config else 0,
    )


def _host(of: Machines, certificate: Certificate) -> Host:
    offers = dict.fromkeys(Offer(*each) for each in of.offers.all().get(certificate.node_id, ()))
    addresses = certificate.addresses
    return Host(certificate.node_id, tuple(_names(of, certificate)), addresses.v4, addresses.v6, tuple(offers))


def _names(of: Machines, certificate: Certificate) -> Iterator[str]:
    """As `Members.resolve` understands them, the one it is shown by first."""
    shown = of.members.label(certificate)
    if shown != certificate.node_id[:SHORT_ID]:
        yield shown
    naming = of.members.naming()
    if certificate.node_id not in naming.names:
        own = (certificate.name, certificate.host)
        yield from (each for each in own if each and each != shown and naming.holder(each) is None)


def _reachable(of: Machines, now: float) -> frozenset[NodeId]:
    """This node, and those it may reach at all."""
    me = of.subject(of.me.node_id)
    if me is None or not of.statements.in_force:
        return frozenset({of.me.node_id})
    book = of.rulebook(now)
    judged: dict[int, bool] = {}
    found = {of.me.node_id}
    for other in of.subjects():
        fitting = book.fitting(me, other)
        if fitting not in judged:
            judged[fitting] = anything(book, fitting)
        if judged[fitting]:
            found.add(other.node)
    return frozenset(found)
