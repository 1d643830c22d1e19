"""Nodes we want a link with, and the rounds of dials to all places where each says it is.

Invariant: of one node all candidates are raced in one round, and no round begins before the last one has ended
and its backoff has passed, unless the candidates are others by now, which counts only so often.
"""

from collections.abc import Callable, Collection, Container, Iterator, Mapping
from dataclasses import dataclass, field
from ipaddress import IPv4Network, IPv6Network, ip_address
from itertools import islice
from typing import TYPE_CHECKING, Final

from pulse.core.addresses import split
from pulse.core.paths.backoff import FIRST, Backoff
from pulse.core.paths.budget import Tempo
from pulse.core.paths.endings import in_words
from pulse.core.types import NodeId

if TYPE_CHECKING:
    from random import Random

MOST_QUESTS: Final = 512
"""Nodes looked for at one time."""

MOST_FLYING: Final = 12
"""Places of one node dialled at one time, those it left meanwhile included: a third of all dials there may be."""

MOVES: Final = 8
MOVE_RATE: Final = 1 / 20
"""How often a node may have us dial at once because it says it is elsewhere: that many times, then each second. Who
names other places all day would else make the whole mesh knock at strangers' doors."""

STAGGER: Final = 0.25
"""Seconds by which a candidate yields to the one before it where dials are short: everybody's best go first."""

UNDER_WAY: Final = float("inf")
"""When the next round begins while one goes on."""

Ranges = Collection[IPv4Network | IPv6Network]


@dataclass(slots=True)
class Quest:
    """The search for one node."""

    node: NodeId
    backoff: Backoff
    candidates: tuple[str, ...] = ()
    """Where it says it is."""
    places: tuple[str, ...] = ()
    """Those of them that can be dialled, after those where it was heard."""
    next_try: float = 0.0
    flying: set[str] = field(default_factory=set)
    """Places being dialled."""
    waiting: list[str] = field(default_factory=list)
    """Places of this round that are yet to be dialled."""
    since: float = 0.0
    """When this round began."""
    last_error: str = ""

    def begin(self, now: float) -> None:
        """A round begins, over all places that are not being dialled already."""
        self.waiting = [place for place in self.places if place not in self.flying]
        self.since, self.next_try = now, UNDER_WAY

    @property
    def expect(self) -> NodeId:
        """Who must answer."""
        return self.node

    @property
    def room(self) -> int:
        """How many more of its places may be dialled now."""
        return max(0, MOST_FLYING - len(self.flying))

    @property
    def due(self) -> float:
        """When its round begins or goes on; `UNDER_WAY` if that is for its dials to tell."""
        if not self.waiting:
            return self.next_try
        return self.since if self.room else UNDER_WAY

    def take_off(self, place: str) -> None:
        """A place is being dialled."""
        self.waiting.remove(place)
        self.flying.add(place)

    def landed(self, place: str) -> None:
        """It is not any more."""
        self.flying.discard(place)

    def failed(self, error: str, now: float) -> None:
        """A dial ended without a link."""
        self.last_error = in_words(error)
        if self.next_try == UNDER_WAY and not self.waiting and not self.flying:
            self.next_try = now + self.backoff.next_delay()

    def met(self) -> None:
        """There is a link: what was to be dialled yet is settled."""
        self.waiting.clear()
        self.last_error = ""

    def parted(self, error: str, now: float) -> None:
        """There was a link, and it is gone."""
        self.last_error = in_words(error)
        self.next_try = now + self.backoff.next_delay()


@dataclass(slots=True)
class Quests:
    """The searches, by node."""

    random: "Random"
    heard: Callable[[NodeId], tuple[str, ...]] = lambda _: ()
    """Where a node was heard on a LAN of ours: there it answers first, or it went."""
    _ranges: Ranges = ()
    """The mesh's own addresses: nothing in there is a place in the underlay."""
    _own: frozenset[str] = frozenset()
    _named: set[str] = field(default_factory=set)
    _all: dict[NodeId, Quest] = field(default_factory=dict)
    _others: Collection[NodeId] = frozenset()
    _moves: Tempo = field(default_factory=lambda: Tempo(MOVES, MOVE_RATE))

    def __iter__(self) -> Iterator[Quest]:
        return iter(self._all.values())

    def get(self, node: NodeId) -> Quest | None:
        """The search for `node`."""
        return self._all.get(node)

    def wanted(self, nodes: Mapping[NodeId, tuple[str, ...]], others: Collection[NodeId], now: float) -> None:
        """Look for these nodes and for no more; `others` need no link though they are known."""
        self._others = others
        before, self._all = self._all, {}
        for node, candidates in islice(nodes.items(), MOST_QUESTS):
            quest = before.get(node) or Quest(node, Backoff(self.random))
            self._all[node] = quest
            if node not in before or quest.candidates != candidates:
                quest.candidates = candidates
                quest.places = self._dialable(quest)
                quest.waiting.clear()
                when = self._moves.take(node, now)
                if when <= now:
                    quest.backoff.reset()
                # Both ends hear of each other at one time, and a mesh that meets a new node should not fall upon it.
                quest.next_try = when + self.random.uniform(0.0, FIRST)

    def heard_again(self, node: NodeId, now: float, lead: float) -> None:
        """A node is on a LAN of ours just now: if it is looked for, dial it anew, `lead` seconds before its turn."""
        if (quest := self.look_again(node)) and quest.places:
            quest.backoff.reset()
            quest.begin(now)
            quest.since -= lead

    def look_again(self, node: NodeId) -> Quest | None:
        """Where a node was heard last is worth another dial, if it is looked for."""
        quest = self._all.get(node)
        if quest is not None:
            quest.waiting.clear()
            quest.places = self._dialable(quest)
        return quest

    def own_addresses(self, addresses: Collection[str]) -> None:
        """Where we are reached ourselves."""
        self._own = frozenset(addresses)
        self._sift()

    def ranges_known(self, ranges: Ranges) -> None:
        """The mesh's own addresses."""
        self._ranges = ranges
        self._sift()

    def place_named(self, place: str) -> None:
        """A person named that place: it is dialled already, whoever lives there."""
        self._named.add(place)
        self._sift()

    def place_unnamed(self, place: str) -> None:
        """Nobody names that place any more."""
        self._named.discard(place)
        self._sift()

    def leads_astray(self, quest: Quest, place: str) -> None:
        """That place leads to ourselves, or the node was heard there once and does not answer."""
        quest.places = tuple(each for each in quest.places if each != place)

    def banish(self, nodes: Collection[NodeId]) -> None:
        """Look for these no more."""
        for node in nodes:
            self._all.pop(node, None)

    def sets_aside(self, node: NodeId | None) -> bool:
        """True if places where `node` was merely seen are not worth a dial: it has better ones, or none is needed."""
        if node is None:
            return False
        quest = self._all.get(node)
        return node in self._others if quest is None else bool(quest.places)

    def begin_due(self, linked: Container[NodeId], now: float) -> None:
        """Begin the rounds that are due."""
        for quest in self._idle(linked):
            if quest.next_try <= now:
                quest.begin(now)

    def everybody_again(self, now: float) -> None:
        """We are somewhere else: begin anew with everybody."""
        for quest in self:
            quest.backoff.reset()
            quest.waiting.clear()
            quest.next_try = now

    def waiting(self, linked: Container[NodeId]) -> Iterator[tuple[float, Quest, str]]:
        """What is to be dialled now: how long it has waited, of whom, and where."""
        for quest in self._idle(linked):
            for place in quest.waiting[: quest.room]:
                yield quest.since + STAGGER * quest.places.index(place), quest, place

    def deadline(self, linked: Container[NodeId]) -> float | None:
        """When the next round begins or goes on."""
        dues = (quest.due for quest in self._idle(linked))
        return min((due for due in dues if due != UNDER_WAY), default=None)

    def _sift(self) -> None:
        for quest in self:
            quest.places = self._dialable(quest)
            quest.waiting = [place for place in quest.waiting if place in quest.places]
            if quest.next_try == UNDER_WAY and not quest.waiting and not quest.flying:
                quest.next_try = quest.since

    def _idle(self, linked: Container[NodeId]) -> Iterator[Quest]:
        return (quest for quest in self if quest.places and quest.node not in linked)

    def _dialable(self, quest: Quest) -> tuple[str, ...]:
        taken = self._own | self._named
        known = dict.fromkeys((*self.heard(quest.node), *quest.candidates))
        return tuple(each for each in known if each not in taken and not self.is_inside(each))

    def is_inside(self, place: str) -> bool:
        """True for `ip:port` in the mesh's own ranges."""
        # What no stranger can have was refused with its record; the mesh's own ranges are known only here.
        host = ip_address(split(place)[0])
        return any(host in each for each in self._ranges)
