"""From links to tables: which links lead to which node.

Today a path is one hop; whole-path scores and next hops of others come with gossip.
Invariant: a node without a link has no route, so the data plane says so instead of guessing.
"""

from collections.abc import Iterable
from ipaddress import IPv4Address

from pulse.core.effects import Hop, Owner
from pulse.core.paths.neighbours import Neighbour
from pulse.core.trust.certificates import Certificate
from pulse.core.types import NodeId

FULL_SHARE = 1
"""Weight of an only link."""

Routes = dict[IPv4Address, tuple[Hop, ...]]


def direct_routes(neighbours: Iterable[Neighbour], handles: dict[NodeId, IPv4Address]) -> Routes:
    """Each neighbour by its newest link."""
    return {
        handles[neighbour.node]: (Hop(neighbour.link, FULL_SHARE),)
        for neighbour in neighbours
        if neighbour.node in handles
    }


def owners(members: Iterable[Certificate], me: NodeId, *, packets: bool) -> tuple[Owner, ...]:
    """The mesh addresses of everybody but us, as their certificates say.

    Without `packets` they serve sessions only: no IP packet goes there or comes from there.
    """
    return tuple(
        Owner(prefix, each.node_id, destination=packets, source=packets)
        for each in members
        if each.node_id != me
        for prefix in (f"{each.addresses.v4}/32", f"{each.addresses.v6}/128")
    )
