"""Which links to have: whom to dial, when to try again, which dials are in flight.

Invariant: nobody else emits `Dial`; there are never more than `MOST_DIALS` in flight, a target with a link is
never dialled, and one without is dialled again and again.
"""

from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeVar

from pulse.core.effects import DEBUG, WARNING, CloseSession, Dial, Effect, Log
from pulse.core.facts import DialFailed, LinkDown, LinkUp
from pulse.core.paths.backoff import Backoff
from pulse.core.types import LinkId, NodeId

if TYPE_CHECKING:
    from random import Random

_T = TypeVar("_T")

MOST_DIALS = 32
"""Dials in flight: more would look like a scan and starve the handshakes of the others."""

MOST_TARGETS = 4096
"""Targets kept; the oldest learnt one without a link gives way."""

MOST_PLACES = 4
"""Learnt addresses kept of one node, the newest: a peer that roams must not push the others out."""

HEAD_START = 600.0
"""Seconds by which a configured target goes before a learnt one: first in any usual queue, yet it starves nobody."""

HEALTHY_AFTER = 30.0
"""A link that lived this long proves its target: the backoff starts over (a peer that accepts and closes does not)."""


@dataclass(slots=True)
class _Target:
    """A place to dial: one a person named, whoever lives there, or one where a node was seen."""

    address: str
    configured: bool
    backoff: Backoff
    node: NodeId | None = None
    """Who was last met there."""
    next_try: float = 0.0
    dialling: bool = False
    ours: bool = False
    """We met ourselves there; a name or a floating address may lead elsewhere later."""
    last_error: str = ""


@dataclass(frozen=True, slots=True)
class Neighbour:
    """One live link, as the rest of the core and the status see it."""

    link: LinkId
    node: NodeId
    transport: str
    observed: str
    dialled: bool
    since: float


@dataclass(frozen=True, slots=True)
class Unreached:
    """A target without a link, for the status."""

    address: str
    node: NodeId | None
    last_error: str
    configured: bool


@dataclass(slots=True)
class Neighbours:
    """Keeps a link with each configured or known peer; one attempt a target at a time."""

    random: "Random"
    _targets: dict[str, _Target] = field(default_factory=dict)
    _links: dict[LinkId, Neighbour] = field(default_factory=dict)
    _linked: dict[NodeId, Neighbour] = field(default_factory=dict)
    """The newest link with each node."""
    _dials: dict[int, _Target] = field(default_factory=dict)
    """Attempts in flight, also those whose target was dropped meanwhile."""
    _parted: dict[NodeId, float] = field(default_factory=dict)
    """When the last link with each node ended, oldest first; as many as there may be targets."""
    _lives: dict[NodeId, bytes] = field(default_factory=dict)
    """The boot id each node showed last, oldest first; as many as there may be targets."""
    _attempts: int = 0

    # Facts

    def peer_configured(self, address: str, now: float) -> list[Effect]:
        """A person named `address` (`host:port`) as a peer: keep a link with whoever lives there."""
        target = self._targets.get(address)
        if target is None:
            self._add(address, None, configured=True, now=now)
        else:
            target.configured = True
        return self.tick(now)

    def peer_learnt(self, node: NodeId, address: str, now: float) -> list[Effect]:
        """`node` was seen at `address`: keep a link with it."""
        target = self._targets.get(address)
        if target is None or not target.configured:
            self._learn(node, address, now)
        elif target.node is None:
            target.node = node
        return self.tick(now)

    def peers_banished(self, nodes: Collection[NodeId]) -> list[Effect]:
        """These nodes are revoked: look for them no more (their links are closed by the data plane)."""
        for target in [each for each in self._targets.values() if each.node in nodes]:
            if target.configured:
                target.node = None
            else:
                del self._targets[target.address]
        return []

    def link_opened(self, fact: LinkUp, now: float) -> list[Effect]:
        """A neighbour is there; if it was new to us we shall look for it again when it goes."""
        neighbour = Neighbour(fact.link, fact.node, fact.transport, fact.observed, fact.dial != 0, now)
        self._links[fact.link] = self._linked[fact.node] = neighbour
        self._parted.pop(fact.node, None)
        restarted = self._lives.pop(fact.node, fact.hello.boot) != fact.hello.boot
        _keep(self._lives, fact.node, fact.hello.boot)
        if target := self._settled(fact.dial):
            target.node, target.ours, target.last_error = fact.node, False, ""
        if not any(target.configured for target in self._leading_to(fact.node)):
            self._learn(fact.node, fact.observed, now)
        # The keys of its earlier life died with that process; without this the session would wait for its timeout.
        stale = [CloseSession(fact.node, "the node restarted")] if restarted else []
        return [*stale, *self.tick(now)]

    def link_closed(self, fact: LinkDown, now: float) -> list[Effect]:
        """A link went: unless its node has another, try to have it back, at once if the link had proved healthy."""
        gone = self._links.pop(fact.link, None)
        if gone is None:
            return []
        if now - gone.since >= HEALTHY_AFTER:
            for target in self._leading_to(gone.node):
                target.backoff.reset()
        others = [each for each in self._links.values() if each.node == gone.node]
        if others:
            self._linked[gone.node] = others[-1]
            return []
        del self._linked[gone.node]
        _keep(self._parted, gone.node, now)
        for target in self._leading_to(gone.node):
            target.last_error = fact.reason
            target.next_try = now + target.backoff.next_delay()
        return self.tick(now)

    def dial_failed(self, fact: DialFailed, now: float) -> list[Effect]:
        """An attempt ended without a link; for code `duplicate` the detail is the id of the node met there."""
        target = self._settled(fact.dial)
        if target is None:
            return []
        log = Log("dial failed", DEBUG, {"address": target.address, "code": fact.code, "detail": fact.detail})
        target.next_try = now + target.backoff.next_delay()
        met_self = fact.code == "self" and not target.ours
        target.ours = fact.code == "self"
        if fact.code == "duplicate":
            # Another link with that node won, so that link tells us who lives at this address.
            target.node, target.last_error = NodeId(fact.detail), ""
        else:
            target.last_error = fact.detail
        return [log, *(self._met_self(target) if met_self else []), *self.tick(now)]

    def addresses_changed(self, now: float) -> list[Effect]:
        """The network under us changed: everybody is worth another try at once."""
        for target in self._targets.values():
            target.backoff.reset()
            target.next_try = now
        return self.tick(now)

    # The machine's face

    def deadline(self) -> float | None:
        """When the next target is due."""
        if len(self._dials) >= MOST_DIALS:
            return None
        return min((each.next_try for each in self._targets.values() if self._is_idle(each)), default=None)

    def tick(self, now: float) -> list[Effect]:
        """Dial whoever is due, within the limit; who waited longest goes first."""
        places = MOST_DIALS - len(self._dials)
        if places <= 0:
            return []
        due = [each for each in self._targets.values() if self._is_idle(each) and each.next_try <= now]
        return [self._dial(target) for target in sorted(due, key=_rank)[:places]]

    # Queries

    def links(self) -> list[Neighbour]:
        """Every live link, oldest first."""
        return list(self._links.values())

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
        """Targets without a link, configured ones first; an address of our own misses nobody."""
        lost = [each for each in self._targets.values() if each.node not in self._linked and not each.ours]
        return [
            Unreached(each.address, each.node, each.last_error, each.configured)
            for each in sorted(lost, key=lambda each: (not each.configured, each.address))
        ]

    def addresses_of(self, node: NodeId) -> list[str]:
        """Where `node` was dialled or seen."""
        return [target.address for target in self._leading_to(node)]

    # Details

    def _add(self, address: str, node: NodeId | None, *, configured: bool, now: float) -> None:
        has_room = len(self._targets) < MOST_TARGETS or self._make_room()
        if has_room or configured:
            self._targets[address] = _Target(address, configured, Backoff(self.random), node, next_try=now)

    def _learn(self, node: NodeId, address: str, now: float) -> None:
        known = self._targets.pop(address, None)
        if known is not None:
            # Put back as the newest: the oldest gives way.
            known.node = node
            self._targets[address] = known
            return
        learnt = [each.address for each in self._leading_to(node) if not each.configured]
        for oldest in learnt[: max(0, len(learnt) + 1 - MOST_PLACES)]:
            del self._targets[oldest]
        self._add(address, node, configured=False, now=now)

    def _make_room(self) -> bool:
        victim = next((each for each in self._targets.values() if not each.configured and self._is_idle(each)), None)
        if victim is None:
            return False
        del self._targets[victim.address]
        return True

    def _dial(self, target: _Target) -> Dial:
        self._attempts += 1
        self._dials[self._attempts] = target
        target.dialling = True
        # A machine that was set up anew behind a configured address is another node, and welcome.
        return Dial(self._attempts, target.address, None if target.configured else target.node)

    def _settled(self, attempt: int) -> _Target | None:
        target = self._dials.pop(attempt, None)
        if target is not None:
            target.dialling = False
        return target

    def _met_self(self, target: _Target) -> list[Effect]:
        if not target.configured:
            if self._targets.get(target.address) is target:
                del self._targets[target.address]
            return []
        return [Log("configured peer is this node itself", WARNING, {"address": target.address})]

    def _leading_to(self, node: NodeId) -> Iterator[_Target]:
        return (target for target in self._targets.values() if target.node == node)

    def _is_idle(self, target: _Target) -> bool:
        return not target.dialling and target.node not in self._linked


def _keep(table: dict[NodeId, _T], node: NodeId, value: _T) -> None:
    """Put a value last, and let the oldest go when the table is full."""
    table[node] = value
    if len(table) > MOST_TARGETS:
        del table[next(iter(table))]


def _rank(target: _Target) -> tuple[float, str]:
    return target.next_try - (HEAD_START if target.configured else 0.0), target.address
