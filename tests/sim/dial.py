"""One attempt to link with whoever answers at an address, as the data plane makes it.

    dialler   ── handshake ──►  acceptor      1 RTT: who is it, is it revoked; sent again until it is answered
              ── hello ──────►                the acceptor judges two links of one pair, and is up
              ◄────── hello ──                the dialler judges too, and is up

Invariant: each dial ends in one LinkUp or DialFailed, unless its daemon died; of two links of one pair both ends
keep the same (`crates/pulse-dataplane/src/link/rank.rs`).
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from pulse.core import effects
from pulse.core.facts import DialFailed
from tests.sim.link import DOWN_AFTER, End, Link
from tests.sim.underlay import Flight

if TYPE_CHECKING:
    from tests.sim.daemon import Daemon
    from tests.sim.world import World

KNOCKS = (0.0, 0.3, 0.9, 2.1)
"""Seconds after which the first packet is sent, and again while it goes unanswered (RFC 9002 §6.2, from 100 ms on)."""

NO_ANSWER = 3.5
"""Seconds after which a dial nobody answers is given up."""

SETTLE = 2.0
"""Seconds an accepted link waits for our own dial to the same node."""

PATIENCE = 0.05
"""Seconds between two looks whether it settled."""


@dataclass(eq=False, slots=True)
class Attempt:
    """A dial under way."""

    world: "World"
    daemon: "Daemon"
    dial: effects.Dial

    seen: str = ""
    """Where the acceptor sees us; empty until it answered."""

    def begin(self) -> None:
        """The first packet leaves."""
        machine = self.daemon.machine
        if self.world.underlay.answering(machine, self.dial.address) is machine:
            self._fails_after(0.001, "self", "the address is our own")
        else:
            self._knock(0)

    def _knock(self, times: int) -> None:
        if self.seen or not self.daemon.alive:
            return None
        if times == len(KNOCKS):
            return self._fails_after(NO_ANSWER - KNOCKS[-1], "timeout", "no answer")
        underlay, machine = self.world.underlay, self.daemon.machine
        flight = underlay.leaves(machine, self.dial.address, self.world.now)
        if flight is not None and underlay.carries(machine, flight.target):
            self.world.after(self.world.crossing(machine, flight.target), lambda: self._heard(flight))
        pause = KNOCKS[times + 1] - KNOCKS[times] if times + 1 < len(KNOCKS) else 0.0
        return self.world.after(pause, lambda: self._knock(times + 1))

    def _heard(self, flight: Flight) -> None:
        """It arrives; who is there answers to where it came from."""
        underlay, here, there = self.world.underlay, self.daemon.machine, flight.target
        peer = self.world.running(there)
        if peer is None or not underlay.enters(flight, self.world.now):
            return
        back = underlay.leaves(there, flight.seen, self.world.now)
        if back is not None and back.target is here and underlay.carries(there, here):
            self.world.after(self.world.crossing(there, here), lambda: self._answered(peer, flight, back))

    def _answered(self, peer: "Daemon", flight: Flight, back: Flight) -> None:
        # QUIC takes no answer from elsewhere than where it asked (RFC 9000 §9).
        if not self.seen and back.seen == self.dial.address and self.world.underlay.enters(back, self.world.now):
            self.seen = flight.seen
            self._shook_hands(peer)

    def _shook_hands(self, peer: "Daemon") -> None:
        if not self._open_to(peer):
            return self._fails_after(NO_ANSWER, "timeout", "no answer")
        if peer.id == self.daemon.id:
            # A clone of ours: the data plane tells nodes by their keys.
            return self._fails_after(0.0, "self", "the address is our own")
        if self.dial.expect not in (None, peer.id):
            return self._fails_after(0.0, "certificate", "another node lives there")
        if peer.id in self.daemon.distrusted:
            return self._fails_after(0.0, "certificate", "it is revoked")
        if self.daemon.id in peer.distrusted:
            return self._fails_after(0.0, "refused", "closed by peer: certificate")
        old = self.daemon.standing.get(peer.id)
        renewed = old is not None and old.id == self.dial.replaces
        if old is not None and not (renewed or old.suspect or (not old.dialled and self.daemon.id < peer.id)):
            return self._fails_after(0.0, "duplicate", peer.id)
        self.daemon.greeting[peer.id] = self.dial.attempt
        hello = self.world.crossing(self.daemon.machine, peer.machine)
        deadline = self.world.now + SETTLE
        return self.world.after(hello, lambda: self._welcomed(peer, deadline))

    def _welcomed(self, peer: "Daemon", deadline: float) -> None:
        if not self._open_to(peer):
            return self._fails_after(NO_ANSWER, "timeout", "it said no hello")
        if peer.id < self.daemon.id and self.daemon.id in peer.greeting and self.world.now < deadline:
            return self.world.after(PATIENCE, lambda: self._welcomed(peer, deadline))
        if not self._stands(peer, self.daemon, dialled=False):
            return self._fails_after(self.world.crossing(peer.machine, self.daemon.machine), "duplicate", peer.id)
        link = Link(self.world)
        ours = End(self.daemon, self.daemon.free_id(), True, peer.boot, link, self.dial.address)
        theirs = End(peer, peer.free_id(), False, self.daemon.boot, link, self.seen)
        link.between(ours, theirs)
        ours.due = self.world.now + self.world.crossing(peer.machine, self.daemon.machine)
        self.world.at(ours.due, lambda: self._greeted(link))
        return peer.links(theirs, 0)

    def _greeted(self, link: Link) -> None:
        ours, theirs = link.dialled, link.accepted
        if not (self.daemon.alive and theirs.up and link.whole()):
            self.world.after(self.world.random.uniform(*DOWN_AFTER), lambda: _gives_up(theirs))
            return self._fails_after(NO_ANSWER, "timeout", "no hello")
        if not self._stands(self.daemon, theirs.daemon, dialled=True):
            link.close(ours, "duplicate")
            link.close(theirs, "another link to this node stays")
            return self._fails_after(0.0, "duplicate", theirs.daemon.id)
        self._settled(theirs.daemon)
        return self.daemon.links(ours, self.dial.attempt)

    def _open_to(self, peer: "Daemon") -> bool:
        """True if packets still pass both ways as the first ones did."""
        seen, ours, theirs, now = self.world.underlay.seen, self.daemon.machine, peer.machine, self.world.now
        return (
            peer.alive
            and seen(ours, self.dial.address, theirs, now) == self.seen
            and seen(theirs, self.seen, ours, now) == self.dial.address
        )

    def _stands(self, daemon: "Daemon", peer: "Daemon", *, dialled: bool) -> bool:
        """Whether this link takes the place of the standing one, as `daemon` sees it (protocol §3)."""
        old = daemon.standing.get(peer.id)
        if old is None or old.peer_boot != peer.boot or old.suspect:
            return True
        named = self.dial.replaces == (old.id if dialled else old.far.id)
        return named or dialled in (old.dialled, daemon.id < peer.id)

    def _fails_after(self, seconds: float, code: str, detail: str) -> None:
        self.world.after(seconds, lambda: self._fails(code, detail))

    def _fails(self, code: str, detail: str) -> None:
        for node in [node for node, attempt in self.daemon.greeting.items() if attempt == self.dial.attempt]:
            del self.daemon.greeting[node]
        self.daemon.tell(DialFailed(self.dial.attempt, code, detail))

    def _settled(self, peer: "Daemon") -> None:
        if self.daemon.greeting.get(peer.id) == self.dial.attempt:
            del self.daemon.greeting[peer.id]


def _gives_up(end: End) -> None:
    if end.up:
        end.link.close(end, "timeout")
