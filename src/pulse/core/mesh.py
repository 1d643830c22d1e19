"""The mesh as one node decides it: facts in, effects out.

This module composes the machines: it picks the machine for a fact, takes the minimum of their deadlines and
hands one machine's news to another. Invariant: it decides nothing itself.
"""

from collections.abc import Sequence
from ipaddress import ip_address
from statistics import median
from typing import TYPE_CHECKING

from pulse.core import messages
from pulse.core.addresses import is_ip, join, split
from pulse.core.effects import (
    DEBUG,
    INFO,
    WARNING,
    CloseLink,
    Effect,
    Log,
    SendMessage,
    StorePeers,
    TablesChanged,
    TrustChanged,
)
from pulse.core.facts import (
    AddressesChanged,
    DialFailed,
    Fact,
    LinkDown,
    LinksSampled,
    LinkSuspect,
    LinkUp,
    MessageReceived,
    NoRoute,
    PeerWanted,
    SessionDown,
    SessionUp,
)
from pulse.core.health import CLOCK_WARNING
from pulse.core.network.statements import NO_FLOORS, Statements
from pulse.core.paths.neighbours import Neighbours
from pulse.core.paths.probe import Probe
from pulse.core.paths.routing import direct_routes, owners
from pulse.core.trust.certificates import Authority, Certificate, parse
from pulse.core.trust.join import Floors
from pulse.core.trust.members import Members
from pulse.core.types import SHORT_ID, LinkId, NodeId
from pulse.errors import ProtocolError, PulseError

if TYPE_CHECKING:
    from random import Random


class Mesh:
    """All machines of one node, behind the one face every machine has."""

    def __init__(
        self, me: Certificate, authorities: Sequence[Authority], random: "Random", floors: Floors = NO_FLOORS
    ) -> None:
        self.me = me
        self.members = Members()
        self.members.certificate_seen(me)
        self.neighbours = Neighbours(random)
        self.probe = Probe()
        self.statements = Statements(me.network, authorities, self.ca_nodes, self._public_key, floors)
        self._observers: dict[LinkId, str] = {}
        self._clock_offsets: dict[LinkId, float] = {}
        self.unknown_messages = 0
        """Messages of later releases that were skipped."""

    # Facts

    def happened(self, fact: Fact, now: float) -> list[Effect]:
        """Tell one fact; `now` is the monotonic time in seconds."""
        match fact:
            case LinkUp():
                return self._link_up(fact, now)
            case LinkDown():
                return self._link_down(fact, now)
            case LinkSuspect():
                return self.probe.link_suspected(fact)
            case DialFailed():
                return self.neighbours.dial_failed(fact, now)
            case MessageReceived(link, payload):
                return self._message_received(link, payload)
            case LinksSampled(samples):
                return self.probe.sampled(samples)
            case AddressesChanged():
                return self.neighbours.addresses_changed(now)
            case SessionUp(node):
                return [Log("session up", DEBUG, {"node": node[:SHORT_ID]})]
            case SessionDown(node, reason):
                return [Log("session down", DEBUG, {"node": node[:SHORT_ID], "reason": reason})]
            case PeerWanted(node) | NoRoute(node):
                return [Log("traffic for a node", DEBUG, {"node": node[:SHORT_ID]})]

    def peer_configured(self, address: str, now: float) -> list[Effect]:
        """A person named a peer."""
        return self.neighbours.peer_configured(address, now)

    def peer_restored(self, certificate: Certificate, addresses: Sequence[str], now: float) -> list[Effect]:
        """A peer of an earlier run; its certificate was verified again. `tables` are asked for once all are back."""
        if certificate.node_id in self.statements.revoked():
            return []
        self.members.certificate_seen(certificate)
        learnt = [self.neighbours.peer_learnt(certificate.node_id, address, now) for address in addresses]
        return [effect for effects in learnt for effect in effects]

    def clock_compared(self, link: LinkId, offset: float) -> list[Effect]:
        """Our wall clock minus a neighbour's, as its hello told."""
        self._clock_offsets[link] = offset
        return []

    # The machine's face

    def deadline(self) -> float | None:
        """When the first of the machines next wants to be woken."""
        return self.neighbours.deadline()

    def tick(self, now: float) -> list[Effect]:
        """Time has passed."""
        return self.neighbours.tick(now)

    # Queries

    def tables(self) -> TablesChanged:
        """The data plane's tables, as they should be now."""
        handles = {each.node_id: each.addresses.v4 for each in self.members.all()}
        return TablesChanged(
            direct_routes(self.neighbours.links(), handles),
            owners(self.members.all(), self.me.node_id, packets=self.statements.in_force),
        )

    def observed(self) -> list[str]:
        """Addresses our neighbours see us at, `host:port`, each once."""
        return sorted(set(self._observers.values()))

    def ca_nodes(self) -> frozenset[NodeId]:
        """The CA's own nodes, as far as we have met them."""
        return frozenset(each.node_id for each in self.members.all() if each.is_ca)

    def clock_offset(self) -> float:
        """Our wall clock minus the median of the neighbours', in seconds; 0 while there are none."""
        return median(self._clock_offsets.values()) if self._clock_offsets else 0.0

    def clock_vouched(self) -> bool:
        """True if there are neighbours and their clocks agree with ours."""
        return bool(self._clock_offsets) and abs(self.clock_offset()) <= CLOCK_WARNING

    # Details

    def _link_up(self, fact: LinkUp, now: float) -> list[Effect]:
        try:
            certificate = parse(fact.certificate)
        except PulseError as error:
            return self._turned_away(fact, str(error), now)
        if fact.node in self.statements.revoked():
            # It was on its way up when the revocation came.
            return self._turned_away(fact, f"{fact.node[:SHORT_ID]} is revoked", now)
        effects = self.neighbours.link_opened(fact, now) + self.probe.link_opened(fact.link)
        if self.members.certificate_seen(certificate):
            effects.append(StorePeers())
        told: list[messages.Message] = [
            messages.Observed(*split(fact.observed)),
            *self.statements.announcements(),
        ]
        effects += [SendMessage(fact.link, messages.encode(each)) for each in told]
        log = Log("link up", INFO, {"node": fact.node[:SHORT_ID], "transport": fact.transport})
        return [*effects, self.tables(), log]

    def _turned_away(self, fact: LinkUp, why: str, now: float) -> list[Effect]:
        log = Log("neighbour turned away", WARNING, {"node": fact.node[:SHORT_ID], "error": why})
        failed = self.neighbours.dial_failed(DialFailed(fact.dial, "certificate", why), now)
        return [CloseLink(fact.link, "certificate"), log, *failed]

    def _link_down(self, fact: LinkDown, now: float) -> list[Effect]:
        self._observers.pop(fact.link, None)
        self._clock_offsets.pop(fact.link, None)
        effects = self.neighbours.link_closed(fact, now) + self.probe.link_closed(fact.link)
        log = Log("link down", INFO, {"node": fact.node[:SHORT_ID], "reason": fact.reason})
        return [*effects, self.tables(), log]

    def _message_received(self, link: LinkId, payload: bytes) -> list[Effect]:
        if self.neighbours.get(link) is None:
            return []
        try:
            message = messages.decode(payload)
        except ProtocolError as error:
            return [CloseLink(link, "protocol"), Log("neighbour broke the protocol", WARNING, {"error": str(error)})]
        match message:
            case messages.Observed(host, port):
                return self._observed(link, host, port)
            case messages.Objects(items):
                return self._objects_received(items)
            case messages.Leaving(reason):
                return [Log("neighbour is leaving", INFO, {"reason": messages.printable(reason)})]
            case _:
                self.unknown_messages += 1
                return []

    def _observed(self, link: LinkId, host: str, port: int) -> list[Effect]:
        # The zone of a link-local address is the neighbour's own name for its interface, and free text.
        bare = host.partition("%")[0]
        if not is_ip(bare) or not port:
            return [CloseLink(link, "protocol"), Log("neighbour saw us at no address", WARNING)]
        self._observers[link] = join(str(ip_address(bare)), port)
        return []

    def _objects_received(self, items: Sequence[messages.Item]) -> list[Effect]:
        effects: list[Effect] = []
        before = self.statements.in_force
        for item in items:
            try:
                effects += self.statements.object_received(item.kind, item.data)
            except PulseError as error:
                effects.append(Log("signed object refused", WARNING, {"kind": item.kind, "error": str(error)}))
        if self.statements.in_force and not before:
            effects.append(self.tables())
        return effects + self._banish(effects)

    def _banish(self, effects: Sequence[Effect]) -> list[Effect]:
        if not any(isinstance(effect, TrustChanged) for effect in effects):
            return []
        revoked = self.statements.revoked()
        banished = self.neighbours.peers_banished(revoked)
        gone = [node for node in revoked if self.members.node_revoked(node)]
        return [*banished, self.tables(), StorePeers()] if gone else banished

    def _public_key(self, node: NodeId) -> bytes | None:
        certificate = self.members.get(node)
        return certificate.public_key if certificate else None
