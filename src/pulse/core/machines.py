"""The machines of one node, and what they say together.

Invariant: each machine has its own state; what one needs of another it asks by a query given to it here.
"""

from collections.abc import Iterator, Mapping, Sequence
from ipaddress import ip_address
from typing import TYPE_CHECKING

from pulse.core.addresses import split
from pulse.core.beyond import Beyond
from pulse.core.cidr import Range
from pulse.core.effects import Effect, Owner, PolicyChanged, PolicyRule, TablesChanged
from pulse.core.network.destinations import IPAddress
from pulse.core.network.patterns import Subject
from pulse.core.network.policy import Rule, compile_rules
from pulse.core.network.rulebook import Rulebook, Verdict, at
from pulse.core.network.sharing import Sharing
from pulse.core.network.statements import NO_FLOORS, Statements
from pulse.core.network.timetable import Timetable
from pulse.core.paths.announce import Announce
from pulse.core.paths.beacon import Beacons
from pulse.core.paths.birthday import Birthdays
from pulse.core.paths.gossip import Gossip
from pulse.core.paths.heard import Heard
from pulse.core.paths.linkstate import LinkState
from pulse.core.paths.neighbours import Neighbours
from pulse.core.paths.noderecord import Service, is_candidate
from pulse.core.paths.offers import Offers
from pulse.core.paths.probe import Probe
from pulse.core.paths.routing import Routing
from pulse.core.paths.sight import Sight
from pulse.core.paths.traversal import Traversal
from pulse.core.paths.wanted import Wanted
from pulse.core.trust.authorities import Chain
from pulse.core.trust.certificates import Certificate
from pulse.core.trust.identity import Signer, mesh_prefix
from pulse.core.trust.join import Floors
from pulse.core.trust.members import Members
from pulse.core.types import NodeId

if TYPE_CHECKING:
    from random import Random


class Machines:
    """All of them, by name."""

    def __init__(
        self,
        me: Certificate,
        signer: Signer,
        chain: Chain,
        random: "Random",
        *,
        boot: int,
        version: str,
        floors: Floors = NO_FLOORS,
        time_floor: float = 0.0,
        birthday: bool = False,
        services: Sequence[Service] = (),
        offers: Sequence[str] = (),
        uses_exits: bool = True,
    ) -> None:
        self.me = me
        self.statements = Statements(chain, self.ca_nodes, self._public_key, floors)
        self.sharing = Sharing(self.statements)
        self.members = Members(self.statements.naming)
        self.members.certificate_seen(me)
        self.sight = Sight()
        self.timetable = Timetable(max(time_floor, me.not_before), self.sight.clock_agrees, self._acl)
        self.probe = Probe()
        self.heard = Heard()
        self.neighbours = Neighbours(random, self.heard.places_of)
        self.gossip = Gossip(me.network, me, lambda: self.statements.authorities, random)
        self.wanted = Wanted(me.node_id, self.heard.members, self.gossip.lacking)
        self.traversal = self._traversal(random, Birthdays(birthday, self.sight.nat, self.sight.outer))
        self.beacons = self._beacons(signer, random, boot)
        self.announce = Announce(me, signer, boot=boot, version=version, chain=chain.number, services=services)
        self.offers = Offers()
        self.linkstate = LinkState(me.node_id)
        self.routing = Routing(self.linkstate.graph)
        self.beyond = self._beyond(offers, uses=uses_exits)
        self.unknown_messages = 0
        """Messages of later releases that were skipped."""
        self.tables_stale = False
        """The data plane's tables are not what they should be."""
        self.rules_stale = False
        """Its rules may not be either: other ones are in force, or other nodes known that they may fit."""
        self._naming_revision = 0
        self._rules: tuple[PolicyRule, ...] = ()
        self._book: Rulebook | None = None
        """The same rules, for questions; made when one is asked."""

    # Queries

    @property
    def names_revision(self) -> int:
        """Another number once nodes, what they are called or offer, or what the rules let reach may be others."""
        return self._naming_revision + self.offers.revision

    def tables(self) -> TablesChanged:
        """The data plane's tables, as they should be now."""
        routes = self.routing.routes().items()
        known = ((self.members.get(node), hops) for node, hops in routes)
        beyond = self.beyond.tables()
        return TablesChanged(
            {each.addresses.v4: hops for each, hops in known if each is not None},
            (*self._owners(), *beyond.owners, *(self._closed() if beyond.owners else ())),
            beyond.used,
            beyond.served,
        )

    def rules(self, now: float) -> tuple[PolicyRule, ...]:
        """The rules in force, for the nodes known and the time that is now."""
        acl = self._acl()
        if not acl:
            return ()
        return compile_rules(acl, self.subjects(), self.groups(), self.timetable.moment(now), self._leading())

    def rulebook(self, now: float) -> Rulebook:
        """The same, to ask which of them decides."""
        return Rulebook(self._acl(), self.subjects(), self.groups(), at(self.timetable.moment(now)))

    def may(
        self,
        source: NodeId,
        destination: NodeId,
        protocol: int,
        port: int,
        now: float,
        beyond: IPAddress | None = None,
    ) -> bool:
        """True if the rules in force allow the flow in its own direction; port 0 for a protocol without.

        `beyond` is an address behind the destination, to which that node leads.
        Nothing is allowed before a network config is in force, nor to or from a node we do not know.
        """
        return self.verdict(source, destination, protocol, port, now, beyond).allowed

    def verdict(
        self,
        source: NodeId,
        destination: NodeId,
        protocol: int,
        port: int,
        now: float,
        beyond: IPAddress | None = None,
    ) -> Verdict:
        """The same, with the rule that decides."""
        if not self.statements.in_force:
            return Verdict(False)
        known = [self.subject(node) for node in (source, destination)]
        if any(each is None for each in known):
            return Verdict(False)
        self._book = self._book or self.rulebook(now)
        one, other = (each for each in known if each is not None)
        return self._book.verdict(one, other, protocol, port, beyond)

    def subjects(self) -> tuple[Subject, ...]:
        """The nodes known now, as rules see them."""
        return tuple(map(self._subject, self.members.all()))

    def subject(self, node: NodeId) -> Subject | None:
        """One node, as rules see it; None if we do not know it."""
        certificate = self.members.get(node)
        return self._subject(certificate) if certificate else None

    def groups(self) -> Mapping[str, Sequence[str]]:
        """The groups of the network config in force."""
        config = self.statements.config
        return config.config.groups if config else {}

    def ca_nodes(self) -> frozenset[NodeId]:
        """The CA's own nodes, as far as we have met them."""
        return frozenset(each.node_id for each in self.members.all() if each.is_ca)

    # Details

    def _acl(self) -> Sequence[Rule]:
        config = self.statements.config
        return config.config.acl if config else ()

    def _subject(self, of: Certificate) -> Subject:
        v4, v6 = map(str, (of.addresses.v4, of.addresses.v6))
        return Subject(of.node_id, v4, self.members.rule_name(of), self.members.tags(of), v6)

    def _leading(self) -> tuple[tuple[str, Range], ...]:
        """Approved ranges, and the handles of the nodes that lead there."""
        known = ((self.members.get(node), cidr) for node, cidr in self.beyond.leading())
        return tuple((str(each.addresses.v4), cidr) for each, cidr in known if each is not None)

    def _rules_changed(self, now: float) -> list[Effect]:
        """What to tell the data plane of its rules, if they are others than it was told last."""
        self._book = None
        self._naming_revision += 1
        before, self._rules = self._rules, self.rules(now)
        self.timetable.rules_told(now)
        return [] if self._rules == before else [PolicyChanged(self._rules)]

    def _owners(self) -> Iterator[Owner]:
        """The mesh addresses of everybody but us, as their certificates say; before a config is in force they serve
        sessions only: no IP packet goes there or comes from there."""
        packets = self.statements.in_force
        for each in self.members.all():
            if each.node_id != self.me.node_id:
                for prefix in (f"{each.addresses.v4}/32", f"{each.addresses.v6}/128"):
                    yield Owner(prefix, each.node_id, destination=packets, source=packets)

    def _closed(self) -> Iterator[Owner]:
        """The mesh's own ranges: what no node has there lies behind none either, however wide its range."""
        for each in (self.statements.mesh_cidr(), mesh_prefix(self.me.network)):
            if each is not None:
                yield Owner(str(each), self.me.node_id, destination=False, source=False)

    def _beyond(self, offers: Sequence[str], *, uses: bool) -> Beyond:
        def score_of(node: NodeId) -> float | None:
            path = self.routing.path_to(node)
            return path.score if path else None

        records = self.gossip.records
        return Beyond(self.me.node_id, self.statements, self.members, records, score_of, offers, uses=uses)

    def _traversal(self, random: "Random", birthdays: Birthdays) -> Traversal:
        sight = self.sight
        return Traversal(self.me.node_id, random, sight.candidates, sight.own, self._is_place, birthdays)

    def _beacons(self, signer: Signer, random: "Random", boot: int) -> Beacons:
        return Beacons(
            self.me.network,
            signer,
            random,
            self.heard,
            boot=boot,
            linked=self.neighbours.linked,
            knows=lambda node: self.members.get(node) is not None,
            wants=lambda node: node in self.wanted.nodes(),
            revoked=self.statements.revoked,
        )

    def _is_place(self, address: str) -> bool:
        """True where a node may be in the network below."""
        inside = self.statements.mesh_cidr()
        if not is_candidate(address, self.me.network):
            return False
        return inside is None or ip_address(split(address)[0]) not in inside

    def _public_key(self, node: NodeId) -> bytes | None:
        certificate = self.members.get(node)
        return certificate.public_key if certificate else None
