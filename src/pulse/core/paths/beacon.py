"""Who of our network is on the LANs of this machine, and when we tell them that we are.

Where a beacon came from is all that is believed of where its node is, and the link made there proves it or is none.
Invariant: a beacon that is sent again from elsewhere costs one dial that fails, and whatever is sent to us, the tables
end, and so do the signatures looked at, the dials and the beacons it makes us answer with in a time.
"""

from collections.abc import Callable, Collection
from dataclasses import asdict, dataclass
from math import inf
from typing import TYPE_CHECKING, Final

from pulse.core.addresses import join
from pulse.core.bucket import Bucket
from pulse.core.effects import DEBUG, Log, SendBeacon
from pulse.core.messages import LATEST, Beacon
from pulse.core.paths.budget import Tempo
from pulse.core.paths.datagram import NONCE_BYTES, Claim, Foreign, read_beacon, write_beacon
from pulse.core.paths.heard import Arrival, Heard
from pulse.core.paths.news import NodeHeard, Outcome
from pulse.core.paths.rendezvous import is_among
from pulse.core.paths.wanted import BY_HASH
from pulse.core.trust.identity import Signer, node_id, public_bytes
from pulse.core.types import SHORT_ID, Network, NodeId
from pulse.errors import ProtocolError, Refused

if TYPE_CHECKING:
    from random import Random

EVERY: Final = 60.0
"""Seconds between beacons while we have links: whoever comes to the LAN says so itself."""

ALONE_EVERY: Final = 10.0
"""Seconds between beacons while we have no link to anybody."""

JITTER: Final = 0.25
"""Share by which a pause is longer or shorter: machines that were switched on together are not to shout together."""

BURST: Final = (0.0, 1.0, 3.0)
"""Seconds after a change of our LANs at which beacons go out: the first may find a switch that is not ready."""

ANSWER_WITHIN: Final = 0.5
"""Seconds in which a newcomer is answered, unless there is a link with it by then."""

UNPLANNED: Final = 6
UNPLANNED_RATE: Final = 1 / 5
"""Beacons that changes and newcomers may cause, at once and then each second."""

CHECKS: Final = 100
CHECK_RATE: Final = 50
"""Signatures looked at, at once and then each second: a thousandth of that is what a LAN of sixty says."""

TOLD: Final = 3
TOLD_RATE: Final = 1 / 10
"""Dials at one node because it was heard, at once and then each second."""

STRANGERS_TOLD: Final = 8
"""The same over all nodes whose certificates we do not hold."""


@dataclass(slots=True)
class Counts:
    """What came of the datagrams, for the status."""

    heard: int = 0
    """Believed."""
    foreign: int = 0
    """Of other networks, of later releases, or noise."""
    elsewhere: int = 0
    """From addresses that are not on the LAN."""
    stale: int = 0
    """Heard before, or older than what was."""
    forged: int = 0
    """Malformed, or not signed by the node they name."""
    revoked: int = 0
    """Of nodes that are out."""
    throttled: int = 0
    """Not looked at, or not acted on, because there were too many."""


class Beacons:
    """Says that we are there, and knows who else is; silent until it is told of a LAN."""

    def __init__(
        self,
        network: Network,
        signer: Signer,
        random: "Random",
        heard: Heard,
        *,
        boot: int,
        linked: Callable[[], Collection[NodeId]],
        knows: Callable[[NodeId], bool],
        wants: Callable[[NodeId], bool],
        revoked: Callable[[], Collection[NodeId]],
    ) -> None:
        """`linked` are the nodes we have links with; `knows` is true of those whose certificates we hold, `wants` of
        those we are to have links with."""
        self._network, self._signer, self._random, self._boot = network, signer, random, boot
        self._key = public_bytes(signer)
        self._me = node_id(self._key)
        self._linked, self._knows, self._wants, self._revoked = linked, knows, wants, revoked
        self._seq = 0
        self._wall = (0.0, 0.0)
        """What the wall clock said, and when."""
        self._lans, self._port = 0, 0
        self._sent_at = -inf
        self._stretch = 1.0
        """Of the pause that goes on."""
        self._burst: list[float] = []
        self._answer_at = inf
        self._newcomers: dict[NodeId, None] = {}
        """Whom that answer is for."""
        self._unplanned = Bucket(UNPLANNED_RATE, UNPLANNED, 0.0)
        self.heard = heard
        self._checks = Bucket(CHECK_RATE, CHECKS, 0.0)
        self._tempo = Tempo(TOLD, TOLD_RATE)
        self._strangers_told = Bucket(TOLD_RATE, STRANGERS_TOLD, 0.0)
        self.counts = Counts()

    # Facts

    def lans_changed(self, count: int, port: int, now: float) -> list[Outcome]:
        """Beacons go out to so many LANs, or to others than before; links are taken in at that port."""
        self._lans, self._port = count, port
        self._burst = [now + after for after in BURST]
        return []

    def woke(self, now: float) -> list[Outcome]:
        """We slept: whoever is on our LANs now may not be who was."""
        return self.lans_changed(self._lans, self._port, now)

    def clock_read(self, wall: float, now: float) -> list[Outcome]:
        """The wall clock, in seconds since 1970."""
        self._wall = wall, now
        return []

    def link_opened(self, node: NodeId) -> list[Outcome]:
        """A link says more than an answer would."""
        self._newcomers.pop(node, None)
        if not self._newcomers:
            self._answer_at = inf
        return []

    def beacon_heard(self, data: bytes, source: str, now: float, *, on_link: bool) -> list[Outcome]:
        """A datagram came from that IP address, which is on the LAN's own subnet or not."""
        if not on_link:
            self.counts.elsewhere += 1
            return []
        try:
            return self._judged(read_beacon(data, self._network), source, now)
        except Foreign:
            self.counts.foreign += 1
        except (ProtocolError, Refused) as error:
            self.counts.forged += 1
            return [Log("beacon refused", DEBUG, {"address": source, "error": str(error)})]
        return []

    # The machine's face

    def deadline(self) -> float | None:
        """When the next beacon is due."""
        if not self._lans:
            return None
        return min(self._planned(), self._answer_at, *self._burst[:1])

    def tick(self, now: float) -> list[Outcome]:
        """Say that we are there, if it is time."""
        due = self.deadline()
        if due is None or now < due:
            return []
        is_planned = self._planned() <= now
        self._burst = [each for each in self._burst if each > now]
        self._answer_at = inf
        self._newcomers.clear()
        self.heard.forget_silent(now)
        if not is_planned and self._unplanned.level(now) < 1:
            return []
        if not is_planned:
            self._unplanned.spend(1, now)
        return [SendBeacon(self._made(now))]

    # Queries

    def statistics(self) -> dict[str, int]:
        """Nodes on our LANs, and what came of the datagrams, by name."""
        return {"nodes": len(self.heard), **asdict(self.counts)}

    # Details

    def _planned(self) -> float:
        return self._sent_at + self._stretch * (EVERY if self._linked() else ALONE_EVERY)

    def _made(self, now: float) -> bytes:
        self._seq += 1
        self._sent_at = now
        self._stretch = self._random.uniform(1 - JITTER, 1 + JITTER)
        wall, read_at = self._wall
        clock = min(max(wall + now - read_at, 0.0), LATEST)
        beacon = Beacon(self._key, self._boot, self._seq, clock, self._port)
        return write_beacon(self._network, beacon, self._signer, self._random.randbytes(NONCE_BYTES))

    def _judged(self, claim: Claim, source: str, now: float) -> list[Outcome]:
        node, place = claim.node, join(source, claim.beacon.port)
        if node == self._me:
            return []
        if not self.heard.is_news(node, claim.beacon, place):
            self.counts.stale += 1
            return []
        if not self.heard.is_believed(node, claim.beacon):
            if not _may(self._checks, now):
                self.counts.throttled += 1
                return []
            claim.vouched(self._network)
        if node in self._revoked():
            self.counts.revoked += 1
            return []
        return self._believed(node, claim.beacon, place, now)

    def _believed(self, node: NodeId, beacon: Beacon, place: str, now: float) -> list[Outcome]:
        is_member, is_linked = self._knows(node), node in self._linked()
        arrival = self.heard.take(node, beacon, place, now, is_member=is_member)
        self.counts.heard += 1
        if is_linked and arrival is not Arrival.RESTARTED:
            return []
        if not (self._wants(node) or is_among(BY_HASH, len(self.heard.members()), self._me, node)):
            # From a whole crowd a newcomer would have more links than anybody wants.
            return []
        if not (self._tempo.take(node, now) <= now if is_member else _may(self._strangers_told, now)):
            self.counts.throttled += 1
            return []
        if arrival is not Arrival.NOTHING:
            self._plan_answer(node, now)
        log = Log("node heard on a LAN", DEBUG, {"node": node[:SHORT_ID], "address": place})
        return [log] if is_linked else [log, NodeHeard(node, place)]

    def _plan_answer(self, node: NodeId, now: float) -> None:
        if not self._newcomers:
            self._answer_at = now + self._random.uniform(0.0, ANSWER_WITHIN)
        self._newcomers[node] = None


def _may(bucket: Bucket, now: float) -> bool:
    """Take one out, if there is one."""
    if bucket.level(now) < 1:
        return False
    bucket.spend(1, now)
    return True
