"""Which links to have: whom to dial, when to try again, which dials are in flight.

Invariant: nobody else emits `Dial`; there are never more than `MOST_DIALS` in flight, nobody with a link is dialled but
to renew that link (`transports.py`), and whoever is wanted or named and has none is dialled again and again.
"""

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, NamedTuple, TypeVar

from pulse.core.effects import DEBUG, WARNING, CloseSession, Dial, Effect, Log
from pulse.core.facts import DialFailed, LinkDown, LinkUp
from pulse.core.paths.backoff import Backoff
from pulse.core.paths.quests import STAGGER, Quest, Quests, Ranges
from pulse.core.paths.targets import Hole, Target, Targets
from pulse.core.paths.transports import Renewal, Transports
from pulse.core.types import LinkId, LinkType, NodeId

if TYPE_CHECKING:
    from random import Random

_T = TypeVar("_T")

MOST_DIALS = 32
"""Dials in flight: more would look like a scan and starve the handshakes of the others."""

MOST_REMEMBERED = 4096
"""Nodes whose last link, and last life, is remembered."""

HEAD_START = 600.0
"""Seconds by which a configured target, and a node heard on a LAN, goes before others, yet starves nobody."""

HEALTHY_AFTER = 30.0
"""A link that lived this long proves its target: the backoff starts over (a peer that accepts and closes does not)."""


class _Flight(NamedTuple):
    """A dial in flight: of a target, of a place of a node we look for, of a link made anew, or through a hole."""

    address: str
    aim: Target | Quest | Renewal | Hole


@dataclass(frozen=True, slots=True)
class Neighbour:
    """One live link, as the rest of the core and the status see it."""

    link: LinkId
    node: NodeId
    transport: str
    observed: str
    dialled: bool
    since: float
    punched: bool = False
    """A hole through NATs was punched for it."""


@dataclass(frozen=True, slots=True)
class Unreached:
    """A target without a link, for the status."""

    address: str
    node: NodeId | None
    last_error: str
    configured: bool


class Neighbours:
    """Keeps a link with each configured, wanted or known peer; one attempt a place at a time."""

    def __init__(self, random: "Random", heard: Callable[[NodeId], tuple[str, ...]] = lambda _: ()) -> None:
        """`heard` gives the places where a node was heard on our LANs."""
        self._targets = Targets(lambda: Backoff(random), self._is_idle)
        self._quests = Quests(random, heard)
        self._transports = Transports(random)
        self._links: dict[LinkId, Neighbour] = {}
        self._linked: dict[NodeId, Neighbour] = {}
        """The newest link with each node."""
        self._dials: dict[int, _Flight] = {}
        """Attempts in flight, also those whose aim was dropped meanwhile."""
        self._parted: dict[NodeId, float] = {}
        """When the last link with each node ended, oldest first."""
        self._lives: dict[NodeId, bytes] = {}
        """The boot id each node showed last, oldest first."""
        self._published: frozenset[str] = frozenset()
        """Places that are configured because a domain says so."""
        self._attempts = 0

    # Facts

    def peer_configured(self, address: str, now: float) -> list[Effect]:
        """A person named `address` (`host:port`) as a peer: keep a link with whoever lives there."""
        self._targets.name(address, now)
        self._quests.place_named(address)
        return self.tick(now)

    def peer_dropped(self, address: str) -> None:
        """Nobody names `address` any more."""
        self._targets.unname(address)
        self._quests.place_unnamed(address)

    def relays_published(self, relays: Collection[str], now: float) -> list[Effect]:
        """A domain names these places: they count like those a person named, for as long as it does."""
        for address in self._published - frozenset(relays):
            self.peer_dropped(address)
        named = {target.address for target in self._targets if target.configured}
        news = [address for address in relays if address not in named]
        self._published = frozenset(news) | (self._published & frozenset(relays))  # what a person named stays so
        return [effect for address in news for effect in self.peer_configured(address, now)]

    def peer_learnt(self, node: NodeId, address: str, now: float) -> list[Effect]:
        """`node` was seen at `address`: keep a link with it, unless better places are known or none is needed."""
        target = self._targets.get(address)
        if target is None or not target.configured:
            self._targets.learn(node, address, now)
        elif target.node is None:
            target.node = node
        return self.tick(now)

    def node_heard(self, node: NodeId, place: str, now: float) -> list[Effect]:
        """`node` said on our LAN that it is at that place: dial it at once, unless it has a link or needs none."""
        if node in self._linked:
            return []
        self._quests.heard_again(node, now, HEAD_START)
        named = self._targets.get(place)
        if (named and named.configured) or not self._quests.sets_aside(node):
            self._targets.hear(node, place, now, HEAD_START)
        return self.tick(now)

    def nodes_wanted(
        self, nodes: Mapping[NodeId, tuple[str, ...]], others: Collection[NodeId], now: float
    ) -> list[Effect]:
        """Keep links with these nodes, at the candidates each announces; `others` are known and need none."""
        self._quests.wanted(nodes, others, now)
        return self.tick(now)

    def ranges_known(self, ranges: Ranges) -> list[Effect]:
        """The mesh's own address ranges: whoever announces a place in there is not dialled at it."""
        self._quests.ranges_known(ranges)
        return []

    def own_addresses(self, addresses: Collection[str]) -> list[Effect]:
        """Where we are reached ourselves: whoever announces such a place is not dialled at it."""
        self._quests.own_addresses(addresses)
        return []

    def peers_banished(self, nodes: Collection[NodeId]) -> list[Effect]:
        """These nodes are revoked: look for them no more (their links are closed by the data plane)."""
        self._targets.banish(nodes)
        self._quests.banish(nodes)
        return []

    def link_opened(self, fact: LinkUp, now: float, *, punched: bool = False) -> list[Effect]:
        """A neighbour is there; if it was new to us we shall look for it again when it goes."""
        before = self._linked.get(fact.node)
        punched = punched or (before is not None and before.punched and before.observed == fact.observed)
        neighbour = Neighbour(fact.link, fact.node, fact.transport, fact.observed, fact.dial != 0, now, punched)
        self._links[fact.link] = self._linked[fact.node] = neighbour
        self._parted.pop(fact.node, None)
        restarted = self._lives.pop(fact.node, fact.hello.boot) != fact.hello.boot
        _keep(self._lives, fact.node, fact.hello.boot)
        flight = self._landed(fact.dial)
        self._transports.opened(fact.link, fact.node, fact.transport, flight.address if flight else None, now)
        if flight and isinstance(flight.aim, Target):
            flight.aim.node, flight.aim.ours, flight.aim.last_error = fact.node, False, ""
            if flight.aim.heard:
                self._targets.drop(flight.aim)
        if quest := self._quests.get(fact.node):
            quest.met()
        # Where a WebSocket comes from, or which proxy it went through, is no place to dial.
        seen_at = fact.observed if fact.transport != LinkType.WEBSOCKET else flight.address if flight else None
        if seen_at and not any(target.configured for target in self._targets.leading_to(fact.node)):
            self._targets.learn(fact.node, seen_at, now)
        # The keys of its earlier life died with that process; without this the session would wait for its timeout.
        stale = [CloseSession(fact.node, "the node restarted")] if restarted else []
        return [*stale, *self.tick(now)]

    def link_closed(self, fact: LinkDown, now: float) -> list[Effect]:
        """A link went: unless its node has another, try to have it back, at once if the link had proved healthy."""
        gone = self._links.pop(fact.link, None)
        self._transports.closed(fact.link)
        if gone is None:
            return []
        aims = self._aims_at(gone.node)
        if now - gone.since >= HEALTHY_AFTER:
            for aim in aims:
                aim.backoff.reset()
        others = [each for each in self._links.values() if each.node == gone.node]
        if others:
            self._linked[gone.node] = others[-1]
            return []
        del self._linked[gone.node]
        _keep(self._parted, gone.node, now)
        self._quests.look_again(gone.node)
        for aim in aims:
            aim.parted(fact.reason, now)
        return self.tick(now)

    def link_suspected(self, link: LinkId, suspect: bool, now: float) -> list[Effect]:
        """A link is silent, or is heard again: a silent one that we dialled is dialled anew before it is down."""
        self._transports.suspected(link, suspect, now)
        return self.tick(now)

    def link_moved(self, link: LinkId, observed: str, now: float) -> list[Effect]:
        """A neighbour is at another address by now: its link is dialled anew there."""
        before = self._links.get(link)
        if before is None:
            return []
        moved = self._links[link] = replace(before, observed=observed)
        if self._linked[before.node] is not before:
            # Another one has taken over already.
            return []
        self._linked[before.node] = moved
        if not any(target.configured for target in self._targets.leading_to(before.node)):
            self._targets.learn(before.node, observed, now)
        self._transports.renew(link, before.node, (observed,), now, is_websocket=False)
        return self.tick(now)

    def sources_changed(self, links: Iterable[LinkId], now: float) -> list[Effect]:
        """We are somewhere else, as these links see it: dial them anew, where each was met and wherever else it is."""
        for neighbour in [self._links[link] for link in links if link in self._links]:
            is_websocket = neighbour.transport == LinkType.WEBSOCKET
            met = self._transports.place_of(neighbour.link) or ("" if is_websocket else neighbour.observed)
            places = dict.fromkeys([*([met] if met else []), *self.addresses_of(neighbour.node)])
            self._transports.renew(neighbour.link, neighbour.node, [*places], now, is_websocket=is_websocket)
        return self.tick(now)

    def certificate_renewed(self, node: NodeId | None, spread: float, now: float) -> list[Effect]:
        """That node, or we if None, has its next certificate: links that show the one before are dialled anew."""
        self._transports.outdated(node, spread, now)
        return self.tick(now)

    def old_certificate_shown(self, node: NodeId, spread: float, now: float) -> list[Effect]:
        """A link came up with a certificate before that node's newest: it is dialled anew, with a growing pause."""
        self._transports.outdated_still(node, spread, now)
        return self.tick(now)

    def woke(self, now: float) -> list[Effect]:
        """Nobody knows what happened meanwhile: everybody is dialled at once, linked or not."""
        return [*self.sources_changed([*self._links], now), *self.addresses_changed(now)]

    def hole_opened(self, node: NodeId, address: str, attempt: int = 0) -> list[Effect]:
        """Probes of a node got through: dial it there at once, for a hole does not stay open."""
        if node in self._linked or len(self._dials) >= MOST_DIALS or self._quests.is_inside(address):
            return []
        return [self._dial(_Flight(address, Hole(node, attempt)), websocket=None)]

    def dial_failed(self, fact: DialFailed, now: float) -> list[Effect]:
        """An attempt ended without a link; for code `duplicate` the detail is the id of the node met there."""
        flight = self._landed(fact.dial)
        if flight is None:
            return []
        log = Log("dial failed", DEBUG, {"address": flight.address, "code": fact.code, "detail": fact.detail})
        if isinstance(flight.aim, Renewal | Hole):
            flight.aim.plan(now)
            return [log, *self.tick(now)]
        if isinstance(flight.aim, Target):
            return [log, *self._target_failed(flight.aim, fact, now), *self.tick(now)]
        if fact.code == "self" or flight.address not in flight.aim.candidates:
            self._quests.leads_astray(flight.aim, flight.address)
        flight.aim.failed("" if fact.code == "duplicate" else fact.detail, now)
        return [log, *self.tick(now)]

    def addresses_changed(self, now: float) -> list[Effect]:
        """The network under us changed: everybody is worth another try at once."""
        for target in self._targets:
            target.backoff.reset()
            target.next_try = now
        self._quests.everybody_again(now)
        self._transports.moved(now)
        return self.tick(now)

    # The machine's face

    def deadline(self) -> float | None:
        """When the next dial is due."""
        if len(self._dials) >= MOST_DIALS:
            return None
        dues = (self._targets.deadline(), self._quests.deadline(self._linked), self._transports.deadline())
        return min((due for due in dues if due is not None), default=None)

    def tick(self, now: float) -> list[Effect]:
        """Dial whoever is due, within the limit; who waited longest goes first."""
        places = MOST_DIALS - len(self._dials)
        if places <= 0:
            return []
        self._quests.begin_due(self._linked, now)
        due = [
            (target.next_try - (HEAD_START if target.configured else 0.0), _Flight(target.address, target))
            for target in self._targets
            if self._is_idle(target) and target.next_try <= now
        ]
        due += [(since, _Flight(place, quest)) for since, quest, place in self._quests.waiting(self._linked)]
        due += [
            (renewal.next_try + STAGGER * rank, _Flight(place, renewal))
            for renewal in self._transports.due(now)
            for rank, place in enumerate(renewal.places)
        ]
        ranked = sorted(due, key=lambda each: (each[0], each[1].address))
        websocket = self._transports.websocket_after(now)
        return [self._dial(flight, websocket) for _, flight in ranked[:places]]

    # Queries

    def links(self) -> list[Neighbour]:
        """Every live link, oldest first."""
        return list(self._links.values())

    def linked(self) -> Collection[NodeId]:
        """The nodes we have links with."""
        return self._linked.keys()

    def aim_of(self, attempt: int) -> tuple[NodeId | None, str]:
        """Who is dialled by an attempt in flight, as far as that is known, and where."""
        flight = self._dials.get(attempt)
        return (flight.aim.node, flight.address) if flight else (None, "")

    def link_to(self, node: NodeId) -> Neighbour | None:
        """The live link with `node`."""
        return self._linked.get(node)

    def get(self, link: LinkId) -> Neighbour | None:
        """The neighbour behind a link."""
        return self._links.get(link)

    def parted_at(self, node: NodeId) -> float | None:
        """When the last link with `node` ended; None if there was none in this run."""
        return self._parted.get(node)

    def unreached(self) -> list[Unreached]:
        """Places to dial that have no link, configured ones first; an address of our own misses nobody."""
        lost = [
            Unreached(each.address, each.node, each.last_error, each.configured)
            for each in self._targets
            if each.node not in self._linked and not each.ours and not self._is_set_aside(each)
        ]
        lost += [
            Unreached(place, quest.node, quest.last_error, False)
            for quest in self._quests
            if quest.node not in self._linked
            for place in quest.places
        ]
        return sorted(lost, key=lambda each: (not each.configured, each.address))

    def addresses_of(self, node: NodeId) -> list[str]:
        """Where `node` says it is, then where it was dialled or seen."""
        quest = self._quests.get(node)
        places = [*(quest.places if quest else ()), *(target.address for target in self._targets.leading_to(node))]
        return list(dict.fromkeys(places))

    # Details

    def _dial(self, flight: _Flight, websocket: float | None) -> Dial:
        self._attempts += 1
        self._dials[self._attempts] = flight
        flight.aim.take_off(flight.address)
        aim = flight.aim
        if isinstance(aim, Renewal):
            return Dial(self._attempts, flight.address, aim.node, aim.link, None if aim.over_quic_alone else websocket)
        hole = aim.attempt if isinstance(aim, Hole) else 0
        return Dial(self._attempts, flight.address, aim.expect, websocket_after=websocket, hole=hole)

    def _landed(self, attempt: int) -> _Flight | None:
        flight = self._dials.pop(attempt, None)
        if flight is not None:
            flight.aim.landed(flight.address)
        return flight

    def _target_failed(self, target: Target, fact: DialFailed, now: float) -> list[Effect]:
        if target.heard:
            self._targets.drop(target)
            return []
        met_self = fact.code == "self" and not target.ours
        target.ours = fact.code == "self"
        target.parted(fact.detail, now)
        if fact.code == "duplicate":
            # Another link with that node won, so that link tells us who lives at this address.
            target.node, target.last_error = NodeId(fact.detail), ""
        if met_self and target.configured:
            return [Log("configured peer is this node itself", WARNING, {"address": target.address})]
        if met_self:
            self._targets.drop(target)
        return []

    def _aims_at(self, node: NodeId) -> list[Target | Quest]:
        quest = self._quests.get(node)
        return [*self._targets.leading_to(node), *([quest] if quest else [])]

    def _is_idle(self, target: Target) -> bool:
        return not target.dialling and target.node not in self._linked and not self._is_set_aside(target)

    def _is_set_aside(self, target: Target) -> bool:
        return not target.configured and self._quests.sets_aside(target.node)


def _keep(table: dict[NodeId, _T], node: NodeId, value: _T) -> None:
    """Put a value last, and let the oldest go when the table is full."""
    table[node] = value
    if len(table) > MOST_REMEMBERED:
        del table[next(iter(table))]
