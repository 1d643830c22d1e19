"""A link between two daemons: ordered messages, the silence of a cut, its end at either side.

Invariant: an end that came up is told one LinkDown, and every message arrives in order or not at all.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from pulse.core.facts import LinkDown, LinkMoved, LinkSuspect, MessageReceived
from pulse.core.types import LinkId

if TYPE_CHECKING:
    from tests.sim.daemon import Daemon
    from tests.sim.world import World

SUSPECT_AFTER = (0.7, 1.0)
"""Seconds of missing echoes until a link is suspect (protocol §3: 0.76 s measured)."""

DOWN_AFTER = (1.8, 3.5)
"""Seconds until it is down: eight echoes under traffic, the idle timeout without."""

BACK_AFTER = (0.05, 0.5)
"""Seconds from the first packet that passes again to the echo that says so."""

RESET_AFTER = (0.05, 1.0)
"""Seconds until an end that packets reach again answers those of a connection it has no more (RFC 9000 §10.3)."""


@dataclass(eq=False, slots=True)
class End:
    """One side of a link."""

    daemon: "Daemon"
    id: LinkId
    dialled: bool
    peer_boot: bytes
    link: "Link"
    towards: str
    """Where it sends to: the place that was dialled, or where it sees the dialler."""
    up: bool = False
    heard: bool = False
    """What it sends comes out at the other side."""
    over: bool = False
    """It ended: packets of the other side find no connection any more."""
    suspect: bool = False
    due: float = 0.0
    """When the newest message on its way to this end arrives."""
    held: list[bytes] = field(default_factory=list)
    """What would have arrived while nothing passed: the other side sends it again."""

    @property
    def far(self) -> "End":
        """The other side."""
        return self.link.accepted if self.dialled else self.link.dialled


@dataclass(eq=False, slots=True)
class Link:
    """Both sides of one link, and whether anything passes between them."""

    world: "World"
    dialled: End = field(init=False)
    accepted: End = field(init=False)
    broken: bool = False
    _watch: int = 0
    """One more each time the link broke or mended: what was to come of the time before is void."""

    def between(self, dialled: End, accepted: End) -> None:
        """These are its ends."""
        self.dialled, self.accepted = dialled, accepted
        self.whole()

    # What happens to it

    def send(self, end: End, payload: bytes) -> None:
        """`end` says something to the other side."""
        far = end.far
        self.world.at(self._arrival(end, far), lambda: self._arrives(far, payload))

    def close(self, end: End, reason: str) -> None:
        """The daemon of `end` closes it, and the other side learns of it if it can hear that."""
        self._over(end, reason)
        far = end.far
        if self._passes(end):
            self.world.at(self._arrival(end, far), lambda: self._over(far, f"closed by peer: {reason}"))
        else:
            self.review()

    def review(self) -> None:
        """The world changed: does anything still pass?"""
        ends = (self.dialled, self.accepted)
        broken = not self.whole()
        if not broken and any(end.over for end in ends):
            for end in ends:
                self.world.after(self.world.random.uniform(*RESET_AFTER), lambda end=end: self._over(end, "reset"))  # type: ignore[misc]
            return
        if broken:
            self._follow()
        if broken == self.broken:
            return
        self.broken = broken
        self._watch += 1
        for end in (self.dialled, self.accepted):
            if end.up:
                self._breaks(end) if broken else self._mends(end)

    def doubt(self, end: End, seconds: float) -> None:
        """Three echoes in a row were lost by chance; they are back after so many seconds."""
        self._suspect(end, suspect=True)
        self._later(seconds, lambda: self._suspect(end, suspect=False))

    def delivers(self, end: End) -> bool:
        """True if a frame that `end` sends now comes out at the other side."""
        return end.up and end.far.up and end.heard

    def whole(self) -> bool:
        """True if packets pass both ways."""
        there, back = self._passes(self.dialled), self._passes(self.accepted)
        return there and back

    def keep_open(self, end: End) -> None:
        """What `end` sends all the time keeps the NATs before it open."""
        self.world.underlay.leaves(end.daemon.machine, end.towards, self.world.now)

    # Details

    def _follow(self) -> None:
        """If the dialler comes from elsewhere by now, the other end finds it there; QUIC allows no server to move."""
        seen = self._seen(self.dialled)
        if seen not in ("", self.accepted.towards):
            self.world.after(self.world.random.uniform(*BACK_AFTER), lambda: self._followed(seen))

    def _followed(self, seen: str) -> None:
        end = self.accepted
        if end.up and seen != end.towards and self._seen(self.dialled) == seen:
            end.towards = seen
            end.daemon.tell(LinkMoved(end.id, self.dialled.daemon.id, seen))
            self.review()

    def _breaks(self, end: End) -> None:
        uniform = self.world.random.uniform
        self._later(uniform(*SUSPECT_AFTER), lambda: self._suspect(end, suspect=True))
        self._later(uniform(*DOWN_AFTER), lambda: self.close(end, "timeout") if end.up else None)

    def _mends(self, end: End) -> None:
        self._later(self.world.random.uniform(*BACK_AFTER), lambda: self._suspect(end, suspect=False))
        self.world.at(self._arrival(end.far, end), lambda: self._catches_up(end))

    def _later(self, seconds: float, act: Callable[[], None]) -> None:
        watch = self._watch
        self.world.after(seconds, lambda: act() if self._watch == watch else None)

    def _suspect(self, end: End, *, suspect: bool) -> None:
        if end.up and end.suspect != suspect:
            end.suspect = suspect
            end.daemon.tell(LinkSuspect(end.id, end.far.daemon.id, suspect))

    def _arrives(self, end: End, payload: bytes) -> None:
        if end.up:
            end.held.append(payload)
            self._catches_up(end)

    def _catches_up(self, end: End) -> None:
        while end.held and not self.broken:
            end.daemon.tell(MessageReceived(end.id, end.held.pop(0)))

    def _over(self, end: End, reason: str) -> None:
        end.over = True
        if not end.up:
            return
        end.up = False
        end.held.clear()
        end.daemon.lost(end)
        self.world.after(0.0, lambda: end.daemon.tell(LinkDown(end.id, end.far.daemon.id, reason)))

    def _arrival(self, source: End, target: End) -> float:
        crossing = self.world.crossing(source.daemon.machine, target.daemon.machine)
        target.due = max(target.due, self.world.now + crossing)
        return target.due

    def _passes(self, source: End) -> bool:
        """True if what an end sends now arrives, from where it is known to be."""
        source.heard = self._seen(source) == source.far.towards
        return source.heard

    def _seen(self, source: End) -> str:
        """Where the other end sees this one now; empty if it hears nothing."""
        here, there = source.daemon, source.far.daemon
        if not (here.alive and there.alive):
            return ""
        return self.world.underlay.seen(here.machine, source.towards, there.machine, self.world.now)
