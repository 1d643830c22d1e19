"""What lies beyond the mesh: which ranges this node leads others to, and which it reaches through others.

Invariant: a range counts only while the network config in force approves it, here and at the exit alike; but for the
whole Internet none overlaps the mesh itself, whoever offers it and whatever approves it.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from ipaddress import IPv4Address, IPv6Address
from typing import TYPE_CHECKING, NamedTuple

from pulse.core.cidr import Range, range_of
from pulse.core.effects import Owner, RangeServed, RangeUse
from pulse.core.network.exits import Exits, Offer, approved_offers
from pulse.core.network.ranges import is_public, met
from pulse.core.network.routes import Served, announced, is_approved
from pulse.core.network.statements import Statements
from pulse.core.trust.identity import mesh_prefix
from pulse.core.trust.members import Members
from pulse.core.types import Network, NodeId

if TYPE_CHECKING:
    from pulse.core.paths.noderecord import NodeRecord


class Tables(NamedTuple):
    """What the data plane, the routes of this host and its firewall are to know of all this."""

    owners: tuple[Owner, ...]
    used: tuple[RangeUse, ...]
    served: tuple[RangeServed, ...]


class Beyond:
    """The ranges of one node."""

    def __init__(
        self,
        me: NodeId,
        statements: Statements,
        members: Members,
        records: Callable[[], Iterable["NodeRecord"]],
        score_of: Callable[[NodeId], float | None],
        offers: Sequence[str] = (),
        *,
        uses: bool = True,
    ) -> None:
        """`offers` lie behind this node; `score_of` tells how far a node is, None while nothing leads there."""
        self.me, self.exits = me, Exits(members.count)
        self._statements, self._members = statements, members
        self._records, self._score_of = records, score_of
        self._offers, self._uses = tuple(offers), uses
        self._seen: dict[NodeId, tuple[str, ...]] = {}
        """What the records of others offer, of those that offer anything."""

    # Facts

    def record_seen(self, node: NodeId, exits: tuple[str, ...]) -> bool:
        """A node offers these ranges; True if they are others than before."""
        if exits == self._seen.get(node, ()):
            return False
        self._seen[node] = exits
        if not exits:
            del self._seen[node]
        return True

    # Queries

    def offered(self) -> tuple[Served, ...]:
        """What this node offers to lead others to."""
        config = self._statements.config
        return announced(self.me, self._offers, config.config.routes if config else ())

    def is_exit(self, node: NodeId) -> bool:
        """True if the node offers anything, approved or not."""
        return bool(self._offers) if node == self.me else node in self._seen

    def served(self) -> tuple[Served, ...]:
        """What of that was approved."""
        config, certificate = self._statements.config, self._members.get(self.me)
        if config is None or certificate is None:
            return ()
        tags, routes, auto = self._members.tags(certificate), config.config.routes, config.config.auto_approve
        return tuple(
            each
            for each in self.offered()
            if not self._is_of_the_mesh(each.announced, certificate.network)
            and is_approved(self.me, tags, each.announced, routes, auto)
        )

    def offers(self) -> Iterator[Offer]:
        """What all other nodes offer."""
        if not self._seen:
            return
        for record in self._records():
            certificate = self._members.get(record.node) if record.exits else None
            if certificate is None or record.node == self.me:
                continue
            score, tags = self._score_of(record.node), self._members.tags(certificate)
            for cidr in map(range_of, record.exits):
                if cidr is not None and not self._is_of_the_mesh(cidr, certificate.network):
                    yield Offer(record.node, tags, cidr, score)

    def approved(self) -> dict[Range, list[Offer]]:
        """The ranges this node reaches through others, and who may lead there."""
        config = self._statements.config
        if config is None or not self._uses:
            return {}
        ours = frozenset(each.announced for each in self.served())
        routes, auto = config.config.routes, config.config.auto_approve
        return approved_offers(self.offers(), routes, auto, ours)

    def used(self) -> dict[Range, NodeId | None]:
        """The exit in use for each approved range; None while none of it is healthy."""
        return {cidr: self.exits.user_of(cidr) for cidr in self.approved()}

    def exits_by_range(self) -> dict[Range, NodeId | None]:
        """The same with what this node serves itself, which it reaches without anybody."""
        return self.used() | {each.announced: self.me for each in self.served()}

    def leads_to(self, address: IPv4Address | IPv6Address, connected: Callable[[], Sequence[Range]]) -> bool:
        """True for what lies behind this node as others know it, and was approved.

        `connected` tells the networks of the Internet that it is in.
        Under the whole Internet is only what is public, and no such network, which holds the node's own address too.
        """
        lengths = {cidr.prefixlen for cidr, _ in self.served() if address in cidr}
        if lengths == {0}:
            return is_public(address) and not any(address in each for each in connected())
        return bool(lengths)

    def leads_everywhere(self) -> bool:
        """True for an exit to all the Internet, of either family: others ask it for names."""
        return any(not cidr.prefixlen for cidr, _ in self.served())

    def behind(self, address: IPv4Address | IPv6Address) -> IPv4Address | IPv6Address:
        """The address that this one has behind this node: another in a range that is mapped."""
        for cidr, behind in self.served():
            if cidr != behind and address in cidr:
                return behind[int(address) - int(cidr.network_address)]
        return address

    def mesh_ranges(self, network: Network) -> list[Range]:
        """The ranges of the mesh itself, as far as they are known."""
        v4 = self._statements.mesh_cidr()
        return [mesh_prefix(network), *([v4] if v4 else [])]

    def leading(self) -> list[tuple[NodeId, Range]]:
        """Who leads to which approved range, this node among them, whoever of them is in use."""
        config = self._statements.config
        if config is None:
            return []
        routes, auto = config.config.routes, config.config.auto_approve
        found = [(self.me, each.announced) for each in self.served()]
        found += [
            (each.node, each.cidr)
            for each in self.offers()
            if is_approved(each.node, each.tags, each.cidr, routes, auto)
        ]
        return found

    def tables(self) -> Tables:
        """Everything of it as it should be now: the exits are chosen here."""
        ranges, served = self.approved(), self.served()
        used = self.exits.chosen(ranges)
        owners = [Owner(str(each.announced), self.me, destination=False) for each in served]
        for cidr, offers in ranges.items():
            user = self.exits.user_of(cidr)
            owners += [Owner(str(cidr), each.node, destination=each.node == user) for each in offers]
        return Tables(tuple(owners), used, tuple(RangeServed(str(each.announced), str(each.behind)) for each in served))

    def _is_of_the_mesh(self, cidr: Range, network: Network) -> bool:
        return met(cidr, self.mesh_ranges(network)) is not None
