"""The mesh as one node decides it: facts in, effects out.

This module composes the machines: it picks those a fact is for, takes the minimum of their deadlines and hands
one machine's news to the others. Invariant: it decides nothing itself, and no news leaves it.
"""

from collections import deque
from collections.abc import Iterable, Sequence
from typing import Protocol

from pulse.core import messages
from pulse.core.adjacency import links_changed
from pulse.core.effects import (
    DEBUG,
    INFO,
    Effect,
    Log,
    StoreConfig,
    TrustChanged,
)
from pulse.core.facts import (
    AddressesChanged,
    BeaconHeard,
    ChainShown,
    ClockCompared,
    ClockRead,
    ConfigFetched,
    DialFailed,
    ExitAnswered,
    Fact,
    FlowDenied,
    IdentityRenewed,
    LansChanged,
    LinkDown,
    LinkMoved,
    LinksSampled,
    LinkSuspect,
    LinkUp,
    MessageReceived,
    NoRoute,
    PathSuspected,
    PeerWanted,
    PinsChanged,
    PortMapped,
    ProbeReceived,
    PunchAnswered,
    PunchAsked,
    RelaysPublished,
    SessionDown,
    SessionUp,
    SourcesChanged,
    Woke,
)
from pulse.core.inbound import message_received
from pulse.core.machines import Machines
from pulse.core.news import (
    News,
    Outcomes,
    config_changed,
    heard,
    identity_renewed,
    trust_changed,
)
from pulse.core.places import places_changed
from pulse.core.trust.certificates import Certificate, parse
from pulse.core.types import SHORT_ID


class Clock(Protocol):
    """The face of a machine that wants to be woken."""

    def deadline(self) -> float | None: ...
    def tick(self, now: float, /) -> Outcomes: ...


class Mesh(Machines):
    """All machines of one node, behind the one face every machine has."""

    # Facts

    def happened(self, fact: Fact, now: float) -> list[Effect]:
        """Tell one fact; `now` is the monotonic time in seconds."""
        effects = self._told(self._happened(fact, now), now)
        return [*effects, *self._told([*self.linkstate.tick(now), *self.routing.tick(now)], now)]

    def _happened(self, fact: Fact, now: float) -> Outcomes:
        match fact:
            case LinkUp() | LinkDown() | LinkSuspect() | LinksSampled() | DialFailed():
                return links_changed(self, fact, now)
            case PathSuspected() | PinsChanged():
                return self._paths_judged(fact, now)
            case MessageReceived(link, payload):
                return message_received(self, link, payload, now)
            case (
                RelaysPublished()
                | AddressesChanged()
                | PortMapped()
                | SourcesChanged()
                | Woke()
                | LinkMoved()
                | LansChanged()
                | BeaconHeard()
            ):
                return places_changed(self, fact, now)
            case ConfigFetched() | ChainShown():
                return self._brought(fact, now)
            case ClockCompared() | ClockRead() | IdentityRenewed():
                return self._clock(fact, now)
            case PunchAsked() | PunchAnswered() | ProbeReceived():
                return self._punched(fact, now)
            case ExitAnswered():
                return self._exit_answered(fact)
            case SessionUp() | SessionDown() | PeerWanted() | NoRoute() | FlowDenied():
                return self._exchanged(fact, now)

    def peer_configured(self, address: str, now: float) -> list[Effect]:
        """A person named a peer."""
        return self.neighbours.peer_configured(address, now)

    def peer_restored(self, certificate: Certificate, addresses: Sequence[str], now: float) -> list[Effect]:
        """A peer of an earlier run; its certificate was verified again. `tables` are asked for once all are back."""
        if certificate.node_id in self.statements.revoked():
            return []
        self.members.certificate_seen(certificate)
        learnt = [self.neighbours.peer_learnt(certificate.node_id, address, now) for address in addresses]
        return self._told([*self.gossip.certificate_restored(certificate), *(e for each in learnt for e in each)], now)

    def objects_restored(self, objects: Iterable[tuple[messages.ObjectKind, bytes]], now: float) -> list[Effect]:
        """What CA and scribe said in an earlier run, each object giving the right to the next."""
        restored = [effect for kind, data in objects for effect in self.statements.restored(kind, data)]
        return self._told([*restored, *trust_changed(self, now), *config_changed(self, now)], now)

    def object_made(self, kind: messages.ObjectKind, data: bytes, now: float) -> list[Effect]:
        """This node signed an object, or was given one by the CA. Raises ProtocolError or Refused."""
        return self._told(self.sharing.object_made(kind, data, now), now)

    # The machine's face

    def deadline(self) -> float | None:
        """When the first of the machines next wants to be woken."""
        return min((due for each in self._clocks() if (due := each.deadline()) is not None), default=None)

    def tick(self, now: float) -> list[Effect]:
        """Time has passed."""
        due = (each for each in self._clocks() if (at := each.deadline()) is not None and at <= now)
        return [effect for each in due for effect in self._told(each.tick(now), now)]

    # News

    def _told(self, outcomes: Outcomes, now: float) -> list[Effect]:
        """Hand news on until only effects are left; the tables come last, once for all that changed."""
        effects: list[Effect] = []
        waiting: deque[Effect | News] = deque(outcomes)
        while waiting:
            outcome = waiting.popleft()
            if isinstance(outcome, News):
                waiting.extend(heard(self, outcome, now))
                continue
            effects.append(outcome)
            if isinstance(outcome, TrustChanged):
                waiting.extend(trust_changed(self, now))
            if isinstance(outcome, StoreConfig):
                waiting.extend(config_changed(self, now))
        if self.rules_stale:
            # Before the tables: they may let packets pass that could not until now.
            self.rules_stale = False
            effects += self._rules_changed(now)
        if self.tables_stale:
            self.tables_stale = False
            effects.append(self.tables())
        return effects

    def _clock(self, fact: ClockCompared | ClockRead | IdentityRenewed, now: float) -> Outcomes:
        match fact:
            case IdentityRenewed(certificate):
                return identity_renewed(self, parse(certificate), now)
            case ClockCompared(link, offset):
                self.sight.clock_compared(link, offset)
                return self.timetable.clock_judged(now)
            case ClockRead(wall):
                self.sight.clock_read(wall, now)
                read = [*self.beacons.clock_read(wall, now), *self.gossip.clock_read(wall)]
                return [*read, *self.timetable.clock_read(wall, now)]

    def _brought(self, fact: ConfigFetched | ChainShown, now: float) -> Outcomes:
        """Signed objects that came otherwise than over a link."""
        match fact:
            case ConfigFetched(node, data):
                return self.sharing.config_fetched(node, data, now)
            case ChainShown(statements):
                return self.sharing.chain_shown(statements, now)

    # Paths

    def _paths_judged(self, fact: PathSuspected | PinsChanged, now: float) -> Outcomes:
        match fact:
            case PathSuspected(node, link, suspect):
                return self.routing.path_suspected(node, link, suspect, now)
            case PinsChanged(vias):
                chosen = frozenset(vias.values())
                return [*self.routing.pins_changed(vias, now), *self.wanted.pins_changed(chosen)]

    def _exit_answered(self, fact: ExitAnswered) -> Outcomes:
        told = self.beyond.exits.answered(fact.node, well=fact.well, shut=fact.shut)
        self.tables_stale |= bool(told)
        return told

    # Sessions and traffic

    def _exchanged(self, fact: SessionUp | SessionDown | PeerWanted | NoRoute | FlowDenied, now: float) -> Outcomes:
        who = {"node": fact.node[:SHORT_ID]}
        match fact:
            case SessionUp():
                return [Log("session up", DEBUG, who)]
            case SessionDown(_, reason):
                return [Log("session down", DEBUG, {**who, "reason": reason})]
            case PeerWanted(node) | NoRoute(node):
                log = Log("traffic for a node", DEBUG, who)
                return [log, *self.wanted.peer_wanted(node, now), *self.traversal.peer_wanted(node, now)]
            case FlowDenied(_, rule, protocol, port, others):
                flow = {"rule": rule, "protocol": protocol, "port": port, "others": others}
                return [Log("flow denied", INFO, {**who, **flow})]

    def _punched(self, fact: PunchAsked | PunchAnswered | ProbeReceived, now: float) -> Outcomes:
        match fact:
            case PunchAsked():
                return self.traversal.punch_asked(fact, now)
            case PunchAnswered():
                return self.traversal.punch_answered(fact, now)
            case ProbeReceived(attempt, source, echo):
                return self.traversal.probe_received(attempt, source, echo=echo, now=now)

    # Details

    def _clocks(self) -> tuple[Clock, ...]:
        """Every machine that wants to be woken; what one tells is heard before the next is woken."""
        paths = (self.neighbours, self.traversal, self.gossip, self.linkstate, self.routing, self.wanted, self.announce)
        return (self.sharing, self.timetable, *paths, self.beacons, self.beyond.exits)
