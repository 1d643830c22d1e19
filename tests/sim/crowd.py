"""A thousand nodes' gossip in one process: the machines that make, spread and hold records, without links' low level.

Opened records are shared between the nodes, for a thousand copies of a thousand records fit nowhere; what one node
keeps is weighed by `footprint.py`. Invariant: every message goes through the real codec and is counted once, where
it leaves.
"""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import lru_cache, partial
from heapq import nlargest
from random import Random
from unittest.mock import patch

from pulse.core import messages
from pulse.core.effects import CloseLink, SendMessage
from pulse.core.messages import ObjectKind, Objects
from pulse.core.paths import gossip as gossiping
from pulse.core.paths.announce import FIGURES_A_NODE, Announce
from pulse.core.paths.gossip import Gossip
from pulse.core.paths.news import Outcome, RecordMade
from pulse.core.paths.noderecord import Claim, NodeRecord, read_record
from pulse.core.paths.rendezvous import rank_of
from pulse.core.trust.certificates import Certificate
from pulse.core.types import LinkId
from tests.authority import NOW
from tests.sim import identities
from tests.sim.clock import Clock

BY_HASH = 8
"""Links each node chooses in a large mesh (protocol §3)."""

REACHABLE_EVERY = 10
"""Of so many nodes one can be reached by strangers; everybody has links with two of those."""

FRAMING = 4
"""Bytes of a message on a control stream beside its own."""

SLACK = 0.01
"""Seconds a wake-up may be late: asking each machine after each message when it wants to be woken costs the most."""

RESTART_WITHIN = 1.0
DIALLED_WITHIN = 0.5
SAMPLED_AFTER = 1.0
WANDERS_EVERY = 60.0

_decode = lru_cache(maxsize=8192)(messages.decode)


@dataclass(eq=False, slots=True)
class Cable:
    """One direction of a link."""

    far: "Station"
    link: LinkId
    """What the far end calls it."""
    delay: float
    rtt: float


@dataclass(eq=False, slots=True)
class Station:
    """One node."""

    crowd: "Crowd"
    number: int
    gossip: Gossip
    announce: Announce
    cables: dict[LinkId, Cable] = field(default_factory=dict)
    sent: Counter[int] = field(default_factory=Counter)
    """Bytes by second."""
    due: float | None = None

    @property
    def certificate(self) -> Certificate:
        """Who it is."""
        return identities.certificate(self.number)

    def take(self, outcomes: Iterable[Outcome]) -> None:
        """Do what a machine asked for."""
        pending = [*outcomes]
        for each in pending:
            match each:
                case SendMessage(link, payload):
                    self._send(self.cables[link], payload)
                case RecordMade(record):
                    pending += self.gossip.record_made(record, self.crowd.now)
                case CloseLink():
                    self.crowd.closed += 1
        self.wake_in_time()

    def hears(self, link: LinkId, payload: bytes) -> None:
        """A message arrived."""
        message, now = _decode(payload), self.crowd.now
        match message:
            case Objects(items):
                ders = [item.data for item in items if item.kind == ObjectKind.CERTIFICATE]
                self.take(self.gossip.certificates_received(link, ders, now))
            case messages.NodeRecords() | messages.Have() | messages.Prune() | messages.Digest() | messages.Want():
                self.take(self.gossip.message_received(link, message, now))
            case _:
                raise AssertionError(f"nobody says {message}")

    def linked(self, link: LinkId, cable: Cable, *, accepted: bool) -> None:
        """A link came up."""
        self.cables[link] = cable
        now, far = self.crowd.now, cable.far.certificate
        self.take(self.gossip.link_opened(link, far.node_id, now))
        self.take(self.announce.neighbour_up(far.addresses.v4, now))
        if accepted:
            self.take(self.announce.inbound_link_accepted(now))

    def sampled(self) -> None:
        """The figures of all links were read."""
        for cable in self.cables.values():
            handle = cable.far.certificate.addresses.v4
            self.take(self.announce.quality_changed(handle, cable.rtt, 0.0, self.crowd.now))

    def wake_in_time(self) -> None:
        """Have the machines woken when they want to be."""
        if self.due is not None and self.due <= self.crowd.now + SLACK:
            return
        due = self._deadline()
        if due is not None and (self.due is None or due < self.due):
            self.due = max(due, self.crowd.now)
            self.crowd.at(self.due, self._wake)

    def _wake(self) -> None:
        now = self.crowd.now
        if self.due is None or now < self.due:
            return
        self.due = None
        if (due := self._deadline()) is not None and due <= now:
            self.take(self.announce.tick(now))
            self.take(self.gossip.tick(now))
        self.wake_in_time()

    def _deadline(self) -> float | None:
        times = (self.gossip.deadline(), self.announce.deadline())
        return min((each for each in times if each is not None), default=None)

    def _send(self, cable: Cable, payload: bytes) -> None:
        self.sent[int(self.crowd.now)] += len(payload) + FRAMING
        self.crowd.after(cable.delay, lambda: cable.far.hears(cable.link, payload))


class Crowd(Clock):
    """All of them."""

    def __init__(self, nodes: int, seed: int) -> None:
        super().__init__()
        _share_opened_records()
        self.random = Random(seed)
        self.closed = 0
        self.links = 0
        self._stations = [self._station(number, nodes) for number in range(nodes)]

    # What happens

    def restart(self) -> None:
        """Every node starts within a second, knowing certificates and neighbours from its disk."""
        ready = [self.random.uniform(0.0, RESTART_WITHIN) for _ in self._stations]
        for one, other in self._pairs():
            self.links += 1
            delay = self.random.uniform(0.002, 0.06)
            when = max(ready[one], ready[other]) + self.random.uniform(0.0, DIALLED_WITHIN) + 3 * delay
            self.at(when, partial(self._link, one, other, delay))

    def wander(self) -> None:
        """From now on the figures of every link change much, again and again; not all begin at once."""
        least = len(self._stations) * FIGURES_A_NODE
        for station in self._stations:
            self.after(self.random.uniform(0.0, least), partial(self._wander, station))

    def run_until_all_are_known(self, within: float) -> float:
        """Let time pass until everybody holds a record of everybody; how long that took."""
        while any(len(each.gossip.records()) < len(self._stations) for each in self._stations):
            if self.now > within:
                raise AssertionError(f"somebody misses records after {within} s")
            self.run(0.1)
        return self.now

    # What is seen

    def kilobytes_a_second(self, begin: int, end: int) -> list[float]:
        """What a node sends in each second, on the average."""
        count = len(self._stations)
        return [sum(each.sent[second] for each in self._stations) / count / 1000 for second in range(begin, end)]

    def busiest(self) -> float:
        """The most any node sent in one second."""
        return max(max(each.sent.values(), default=0) for each in self._stations) / 1000

    def records(self) -> list[bytes]:
        """The newest record of everybody, as the first node holds them."""
        return [record.data for record in self._stations[0].gossip.records()]

    # Details

    def _station(self, number: int, nodes: int) -> Station:
        me = identities.certificate(number)
        gossip = Gossip(identities.CA.network, me, lambda: (identities.CA.authority,), Random(number))
        announce = Announce(me, identities.signer(number), boot=2, version="1.0.0")
        station = Station(self, number, gossip, announce)
        station.take(gossip.clock_read(NOW))
        for other in range(nodes):
            station.take(gossip.certificate_restored(identities.certificate(other)))
        station.take(announce.mesh_size(nodes))
        station.take(announce.addresses_changed([f"10.{number >> 8}.{number & 255}.1:41641"], 0.0))
        return station

    def _pairs(self) -> list[tuple[int, int]]:
        """Who has a link with whom: for each node the highest ranks, and those of nodes that strangers reach."""
        ids = [each.certificate.node_id for each in self._stations]
        chosen: dict[tuple[int, int], None] = {}
        for one, id_ in enumerate(ids):
            ranks = {other: rank_of(id_, other_id) for other, other_id in enumerate(ids) if other != one}
            reachable = [other for other in ranks if other % REACHABLE_EVERY == 0]
            for other in [*nlargest(BY_HASH, ranks, ranks.__getitem__), *nlargest(2, reachable, ranks.__getitem__)]:
                chosen[min(one, other), max(one, other)] = None
        return [*chosen]

    def _link(self, one: int, other: int, delay: float) -> None:
        ours, theirs = LinkId(self.random.getrandbits(32)), LinkId(self.random.getrandbits(32))
        here, there = self._stations[one], self._stations[other]
        accepted = one % REACHABLE_EVERY == 0
        here.linked(ours, Cable(there, theirs, delay, 2 * delay), accepted=accepted)
        there.linked(
            theirs, Cable(here, ours, delay, 2 * delay), accepted=not accepted and other % REACHABLE_EVERY == 0
        )
        self.after(self.random.uniform(0.0, SAMPLED_AFTER), here.sampled)
        self.after(self.random.uniform(0.0, SAMPLED_AFTER), there.sampled)

    def _wander(self, station: Station) -> None:
        for cable in station.cables.values():
            cable.rtt = 2 * cable.delay * self.random.uniform(1.0, 3.0)
        station.sampled()
        self.after(WANDERS_EVERY, lambda: self._wander(station))


def _share_opened_records() -> None:
    """Read and verify each record once for all nodes."""
    read, vouched = lru_cache(maxsize=16384)(read_record), Claim.vouched
    known: dict[bytes, NodeRecord] = {}

    def vouched_once(claim: Claim, certificate: Certificate, network: object) -> NodeRecord:
        if claim.data not in known:
            known[claim.data] = vouched(claim, certificate, identities.CA.network)
        return known[claim.data]

    patch.object(gossiping, "read_record", read).start()
    patch.object(Claim, "vouched", vouched_once).start()
