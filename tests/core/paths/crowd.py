"""Several gossip machines joined by links that take their time: no sockets, one heap of events.

Every message goes through the real codec. Time jumps from event to event; what a node tells others is counted.
"""

import heapq
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from itertools import count, pairwise
from random import Random

from pulse.core import messages
from pulse.core.effects import CloseLink, Log, SendMessage
from pulse.core.messages import Digest, Have, NodeRecords, ObjectKind, Objects, Prune, Want
from pulse.core.paths.gossip import Gossip
from pulse.core.paths.news import CertificateAccepted, News, Outcome, OwnRecordSeen, RecordAccepted, RecordForgotten
from pulse.core.paths.noderecord import NodeRecord
from pulse.core.types import LinkId
from tests.authority import NOW
from tests.core.paths.records import CA, cert, cert_of, record

_NAMES = {kind.__struct_config__.tag: kind.__name__ for kind in (NodeRecords, Have, Prune, Objects, Digest, Want)}


def nobody(_sender: int, _receiver: int) -> bool:
    """No message is lost."""
    return False


def is_eager(gossip: Gossip, link: LinkId) -> bool:
    """True if records go out on that link by themselves, as its tree has it."""
    branch = gossip._tree.get(link)
    return branch is not None and branch.eager


@dataclass
class Member:
    """One node: its machine, and what it said."""

    place: int
    gossip: Gossip
    seq: int = 0
    news: list[News] = field(default_factory=list)
    logs: list[Log] = field(default_factory=list)
    closed: dict[LinkId, str] = field(default_factory=dict)
    wakes: float | None = None
    """When it will be woken."""


class Crowd:
    """Nodes by their place in the mesh range."""

    def __init__(self, places: Iterable[int], seed: int = 1, most: int = 4096) -> None:
        self.random = Random(seed)
        self.now = 1000.0
        self.members = {
            place: Member(place, Gossip(CA.network, cert(place), lambda: [CA.authority], Random(seed + place), most))
            for place in places
        }
        self.ends: dict[LinkId, tuple[int, int, LinkId]] = {}
        """Of each end of a link: whose it is, who is at the other end, and its name there."""
        self.delays: dict[LinkId, float] = {}
        self.sent: Counter[str] = Counter()
        self.bytes: Counter[int] = Counter()
        self.crossings: Counter[int] = Counter()
        """Records received by each node."""
        self.drop: Callable[[int, int], bool] = nobody
        self._events: list[tuple[float, int, Callable[[], None]]] = []
        self._order, self._links = count(), count(1)
        for member in self.members.values():
            self.take(member, member.gossip.clock_read(NOW))

    # What people do

    def announce(self, place: int, flags: int = 0) -> NodeRecord:
        """A node makes the next version of its record."""
        member = self.members[place]
        member.seq += 1
        made = record(place, member.seq, flags=flags)
        self.take(member, member.gossip.record_made(made, self.now))
        return made

    def link(self, one: int, other: int, delay: float = 0.01) -> tuple[LinkId, LinkId]:
        """Both ends see the link come up, and with it each other's certificate."""
        ends = LinkId(next(self._links)), LinkId(next(self._links))
        for (mine, theirs), me, them in ((ends, one, other), (ends[::-1], other, one)):
            self.ends[mine] = me, them, theirs
            self.delays[mine] = delay
        for (mine, _), me, them in ((ends, one, other), (ends[::-1], other, one)):
            member = self.members[me]
            self.take(member, member.gossip.certificate_seen(cert(them), self.now))
            self.take(member, member.gossip.link_opened(mine, cert(them).node_id, self.now))
        return ends

    def cut(self, one: int, other: int) -> None:
        """All links between two nodes go, with what is on its way."""
        for end, (me, them, _) in [*self.ends.items()]:
            if {me, them} == {one, other}:
                del self.ends[end]
                self.take(self.members[me], self.members[me].gossip.link_closed(end, self.now))

    # What happens then

    def run(self, seconds: float) -> None:
        """Let time pass, event by event."""
        end = self.now + seconds
        for member in self.members.values():
            self.take(member, [])
        while self._events and self._events[0][0] <= end:
            then, _, happens = heapq.heappop(self._events)
            self.now = max(self.now, then)
            happens()
        self.now = end

    def say(self, end: LinkId, message: messages.Wire | bytes) -> None:
        """Whoever has that end says something of its own making."""
        payload = message if isinstance(message, bytes) else messages.encode(message)
        self._at(self.now + self.delays[end], lambda: self._deliver(end, payload))

    def tell(self, place: int, *records: NodeRecord) -> list[Outcome]:
        """A neighbour that only speaks shows records, and their certificates before; returns what came of it."""
        member, end = self.members[place], LinkId(0)
        told = member.gossip.link_opened(end, cert(999).node_id, self.now)
        ders = {cert_of(each).der: None for each in records}
        told += member.gossip.certificates_received(end, [*ders], self.now)
        told += member.gossip.message_received(end, NodeRecords([each.data for each in records]), self.now)
        told += member.gossip.link_closed(end, self.now)
        self.take(member, told)
        return told

    def take(self, member: Member, outcomes: Iterable[Outcome]) -> None:
        """Perform what a machine asked for."""
        for each in outcomes:
            match each:
                case SendMessage(link, payload):
                    if link in self.ends:
                        self._count(member, payload)
                        self.say(link, payload)
                case CloseLink(link, reason):
                    member.closed[link] = reason
                    if link in self.ends:
                        self.cut(*self.ends[link][:2])
                case Log():
                    member.logs.append(each)
                case RecordAccepted() | RecordForgotten() | CertificateAccepted() | OwnRecordSeen():
                    member.news.append(each)
                case _:
                    raise AssertionError(each)
        self._wake(member)

    # What one sees

    def agree(self) -> bool:
        """True if all hold the same."""
        return len({member.gossip.summary() for member in self.members.values()}) == 1

    def holders(self, made: NodeRecord) -> int:
        """How many nodes hold exactly that version."""
        return sum(member.gossip.record(made.node) == made for member in self.members.values())

    def events(self, place: int) -> list[str]:
        """What a node logged."""
        return [log.event for log in self.members[place].logs]

    # Details

    def _at(self, when: float, happens: Callable[[], None]) -> None:
        heapq.heappush(self._events, (when, next(self._order), happens))

    def _wake(self, member: Member) -> None:
        """The machine's deadline is asked for after each fact; only the newest one counts."""
        due = member.gossip.deadline()
        if due is not None and due != member.wakes:
            self._at(due, lambda: self._tick(member, due))
        member.wakes = due

    def _tick(self, member: Member, due: float) -> None:
        if member.wakes == due:
            member.wakes = None
            self.take(member, member.gossip.tick(self.now))

    def _deliver(self, end: LinkId, payload: bytes) -> None:
        if end not in self.ends:
            return
        me, them, theirs = self.ends[end]
        if not self.drop(me, them):
            self._arrive(self.members[them], theirs, messages.decode(payload))

    def _arrive(self, member: Member, end: LinkId, message: object) -> None:
        gossip = member.gossip
        if isinstance(message, Objects):
            ders = [item.data for item in message.items if item.kind == ObjectKind.CERTIFICATE]
            self.take(member, gossip.certificates_received(end, ders, self.now))
        else:
            assert isinstance(message, NodeRecords | Have | Prune | Digest | Want)
            if isinstance(message, NodeRecords):
                self.crossings[member.place] += len(message.records)
            self.take(member, gossip.message_received(end, message, self.now))

    def _count(self, member: Member, payload: bytes) -> None:
        self.sent[_NAMES[payload[1]]] += 1
        self.bytes[member.place] += len(payload)


def line(places: Iterable[int], **options: int) -> Crowd:
    """Nodes in a row, each linked with the next, everybody announced and settled."""
    row = [*places]
    return _settled(Crowd(row, **options), [*pairwise(row)])


def graph(nodes: int, degree: int, seed: int, parts: int = 1) -> Crowd:
    """Random graphs of nodes 1 to `nodes`, so many, each connected, settled."""
    random = Random(seed)
    crowd = Crowd(range(1, nodes + 1), seed)
    edges: set[tuple[int, int]] = set()
    for part in range(parts):
        places = range(1 + part * nodes // parts, 1 + (part + 1) * nodes // parts)
        some = {(random.randint(places[0], place - 1), place) for place in places[1:]}
        while len(some) < len(places) * degree // 2:
            one, other = sorted(random.sample(places, 2))
            some.add((one, other))
        edges |= some
    return _settled(crowd, sorted(edges))


def _settled(crowd: Crowd, edges: list[tuple[int, int]]) -> Crowd:
    for place in crowd.members:
        crowd.announce(place)
    for one, other in edges:
        crowd.link(one, other, crowd.random.uniform(0.002, 0.03))
    crowd.run(5.0)
    return crowd
