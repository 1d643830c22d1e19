"""When a dial tries a WebSocket beside QUIC, and when a link that is up is made anew: where it goes silent, is a
WebSocket that QUIC should carry, an end of it moved, or has another certificate by now.

What worked on this network counts for ten minutes: where UDP is blocked nobody waits for it. Invariant: QUIC is part of
every dial, between two attempts to make a WebSocket QUIC lie `UPGRADE_EVERY` and one dial at most, and a link that came
to us is renewed only once an end of it moved: before that its dialler alone knows a place.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from math import inf
from typing import TYPE_CHECKING, Final

from pulse.core.effects import WEBSOCKET_AFTER
from pulse.core.paths.budget import Tempo
from pulse.core.types import LinkId, LinkType, NodeId

if TYPE_CHECKING:
    from random import Random


REMEMBERED: Final = 600.0
"""Seconds for which it counts that a WebSocket was faster than QUIC."""

UPGRADE_FIRST: Final = 3.0
UPGRADE_EVERY: Final = 25.0
"""Seconds until it is first tried to have a link over QUIC that is a WebSocket, for it may have won by chance, and then
between attempts."""

SILENT_EVERY: Final = 1.0
"""Seconds between attempts to have another link beside one that is silent: it will be down before the third."""

PROVEN_AFTER: Final = 30.0
"""Seconds between two renewals of one node's link for its silence: one that is silent again at once goes down, and its
node is dialled with a growing pause."""


OUTDATED_MOST: Final = 3600.0
"""Seconds at most between renewals of the link of a node that goes on showing a certificate before its newest."""

MOST_PLACES: Final = 4
"""Places of one node dialled at one time to renew its link."""

MOVES: Final = 8
MOVE_RATE: Final = 1 / 10
"""How often a node's link is renewed because an end of it moved: at once, and then each second."""


@dataclass(slots=True)
class Renewal:
    """A link, and where and when to dial it anew; the new one takes over, so nothing is lost meanwhile."""

    link: LinkId
    node: NodeId
    address: str
    is_websocket: bool
    next_try: float
    renewed_at: float = -inf
    """When it, or the one it took over from, was last dialled anew for its silence."""
    is_silent: bool = False
    has_moved: bool = False
    """An end of it did: what it runs over may not work any more."""
    elsewhere: tuple[str, ...] = ()
    """Other places to dial beside, because of that."""
    outdated: float | None = None
    """Seconds between attempts, if the certificates it was made with are not the newest of its ends."""
    shown_old: int = 0
    """How often in a row its node showed an old certificate though it was dialled to see the newest."""
    flying: int = 0
    """Dials under way."""

    @property
    def expect(self) -> NodeId:
        """Who must answer."""
        return self.node

    @property
    def over_quic_alone(self) -> bool:
        """Another WebSocket would be no better."""
        return self.is_websocket and not (self.is_silent or self.has_moved or self.outdated is not None)

    @property
    def places(self) -> tuple[str, ...]:
        """Where to dial."""
        return (self.address, *self.elsewhere)

    def take_off(self, _place: str) -> None:
        """It is being dialled."""
        self.flying += 1

    def landed(self, _place: str) -> None:
        """It is not any more."""
        self.flying -= 1

    def plan(self, now: float) -> None:
        """Dial again when it is worth it, if it ever is."""
        if self.flying:
            return
        self.has_moved, self.elsewhere = False, ()
        pause = SILENT_EVERY if self.is_silent else UPGRADE_EVERY if self.is_websocket else inf
        self.next_try = now + min(pause, inf if self.outdated is None else self.outdated)


@dataclass(slots=True)
class Transports:
    """What got through here lately, and what should do better."""

    random: "Random"
    _websocket_until: float = -inf
    _renewals: dict[LinkId, Renewal] = field(default_factory=dict)
    """Of every link we dialled, and of those that came to us and moved."""
    _moves: Tempo = field(default_factory=lambda: Tempo(MOVES, MOVE_RATE))

    def websocket_after(self, now: float) -> float:
        """Seconds by which QUIC goes ahead of a WebSocket."""
        return 0.0 if now < self._websocket_until else WEBSOCKET_AFTER

    def opened(self, link: LinkId, node: NodeId, transport: str, address: str | None, now: float) -> None:
        """There is a new link with a node, `address` given if we dialled it: those before are about to be closed."""
        old = [each for each in self._renewals.values() if each.node == node]
        for each in old:
            del self._renewals[each.link]
        if address is None:
            return
        is_websocket = transport == LinkType.WEBSOCKET
        self._websocket_until = now + REMEMBERED if is_websocket else -inf
        first = now + UPGRADE_FIRST if is_websocket else inf
        renewed_at = max((each.renewed_at for each in old), default=-inf)
        shown_old = max((each.shown_old for each in old), default=0)
        self._renewals[link] = Renewal(link, node, address, is_websocket, first, renewed_at, shown_old=shown_old)

    def suspected(self, link: LinkId, suspect: bool, now: float) -> None:
        """A link is silent, or is heard again."""
        renewal = self._renewals.get(link)
        if renewal is None or renewal.is_silent == suspect:
            return
        if suspect and now < renewal.renewed_at + PROVEN_AFTER:
            return
        renewal.is_silent = suspect
        renewal.plan(now)
        if suspect:
            renewal.next_try = renewal.renewed_at = now

    def renew(self, link: LinkId, node: NodeId, places: Sequence[str], now: float, *, is_websocket: bool) -> None:
        """An end of a link moved: dial it anew at these places, best first.

        QUIC follows an end that moved badly, or not at all, and a WebSocket never does.
        """
        if not places:
            return
        due = self._moves.take(node, now)
        # Dials under way left from where we were: they count for nothing.
        new = Renewal(link, node, places[0], is_websocket, due, has_moved=True, elsewhere=(*places[1:MOST_PLACES],))
        if old := self._renewals.get(link):
            new.renewed_at, new.is_silent, new.outdated = old.renewed_at, old.is_silent, old.outdated
            new.shown_old = old.shown_old
            new.next_try = due if old.flying else min(due, old.next_try)
        self._renewals[link] = new

    def outdated(self, node: NodeId | None, spread: float, now: float) -> None:
        """A node, or this one for None, has its next certificate: within `spread` seconds dial its links anew.

        At that moment all its neighbours do so; together they would look like a flood.
        """
        for each in self._renewals.values():
            if node in (None, each.node):
                each.outdated, each.shown_old = spread, 0
                each.next_try = min(each.next_try, now + self.random.uniform(0.0, spread))

    def outdated_still(self, node: NodeId, spread: float, now: float) -> None:
        """A node shows a certificate before its newest: dial its link anew, ever more rarely if that changes nothing.

        It may have been dialled a moment too early, or have come back from an old copy of its disk.
        """
        for each in self._renewals.values():
            if node == each.node:
                most = min(OUTDATED_MOST, spread * (1 << min(each.shown_old, 16)))
                each.outdated, least = most, most / 2 if each.shown_old else 0.0
                each.shown_old += 1
                each.next_try = min(each.next_try, now + self.random.uniform(least, most))

    def closed(self, link: LinkId) -> None:
        """A link is gone."""
        self._renewals.pop(link, None)

    def moved(self, now: float) -> None:
        """We are on another network: what worked before says nothing."""
        self._websocket_until = -inf
        for renewal in self._renewals.values():
            if renewal.is_websocket:
                renewal.next_try = now

    def due(self, now: float) -> Iterator[Renewal]:
        """The links to be dialled anew now."""
        return (each for each in self._renewals.values() if not each.flying and each.next_try <= now)

    def place_of(self, link: LinkId) -> str | None:
        """Where a link would be dialled anew, if that is known."""
        renewal = self._renewals.get(link)
        return renewal.address if renewal else None

    def deadline(self) -> float | None:
        """When one is due."""
        due = min((each.next_try for each in self._renewals.values() if not each.flying), default=inf)
        return due if due < inf else None
