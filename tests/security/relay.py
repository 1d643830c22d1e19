"""A rogue between two daemons that reach each other over it alone or also over it: it passes on what a test lets it.

It holds the hop keys of both its links, so it can write any header; what is inside was sealed by somebody else.
Invariant: without being told otherwise it is as honest a relay as any, and a transparent one for gossip.
"""

from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Final

from pulse.core.messages import NodeRecords
from tests.e2e.mesh import Node
from tests.security.frames import PROBES, Clear, Frame, Kind
from tests.security.link import Link
from tests.security.rogue import Rogue
from tests.security.voice import Voice

GOSSIP: Final = range(3, 9)
"""Tags of messages that spread what nodes and their CA say."""
KEPT: Final = 20_000


@dataclass(frozen=True, slots=True)
class Passing:
    """A frame on its way through: the link it came over, and the one an honest relay would send it over."""

    frame: Frame
    came: Link
    goes: Link

    def saying(self, **fields: str | int) -> "Passing":
        """The same with other words in its header."""
        return replace(self, frame=self.frame.saying(**fields))

    def bearing(self, body: bytes) -> "Passing":
        """The same with another body."""
        return replace(self, frame=replace(self.frame, body=body))

    def turned_back(self) -> "Passing":
        """The same, to go back where it came from."""
        return replace(self, came=self.goes, goes=self.came)


Meddle = Callable[[Passing], Iterable[Passing]]


def honestly(passing: Passing) -> Iterable[Passing]:
    """Pass on what came, once."""
    return (passing,)


class LyingRelay:
    """Joins the daemons it links with; `meddle` decides what becomes of each frame, `alter` of each message."""

    def __init__(self, rogue: Rogue) -> None:
        self.rogue, self.voice = rogue, Voice(rogue.shows)
        self.meddle: Meddle = honestly
        self.alter: Callable[[bytes], Iterable[bytes]] = lambda message: (message,)
        self.seen: Counter[int] = Counter()
        """Frames for others that came, by kind."""
        self.bodies: deque[bytes] = deque(maxlen=KEPT)
        self._links: list[Link] = []
        self._waiting: list[tuple[Link, bytes]] = []

    def joins(self, *nodes: Node) -> None:
        """Link with these daemons and let all the mesh know of it."""
        for node in nodes:
            self.rogue.dials(node, prepared=self._watch)
        with self.rogue.turn:
            for link, message in self._waiting:
                self._spread(link, message)
            self._waiting.clear()
        self.announces(*(link.there for link in self._links))

    def announces(self, *neighbours: str, flags: int = 0, rtt: float = 0.0) -> None:
        """Say on every link that these are its neighbours, whoever they are."""
        record = NodeRecords([self.voice.record(*neighbours, flags=flags, rtt=rtt)])
        for link in self._links:
            link.says(record)

    def link_to(self, node: Node) -> Link:
        """Its link with a daemon."""
        handle = node.v4
        return next(link for link in self._links if link.there == handle)

    def sends(self, passing: Passing) -> None:
        """Seal a frame for the hop it goes to, and send it."""
        header, clear = passing.frame.header, passing.frame.clear
        if header.kind in PROBES:
            clear |= Clear.BODY_SEALED
        passing.goes.throws(passing.goes.seals(header, passing.frame.body, clear=clear))

    @contextmanager
    def meddling(self, meddle: Meddle, kind: int = Kind.RECORD) -> Iterator[None]:
        """Meanwhile do this to frames of that kind."""
        self.meddle = lambda passing: (meddle if passing.frame.header.kind == kind else honestly)(passing)
        try:
            yield
        finally:
            self.meddle = honestly

    # What its links tell it

    def _watch(self, link: Link) -> None:
        self._links.append(link)
        link.frame_taker = lambda frame: self._frame(link, frame)
        link.message_taker = lambda message: self._message(link, message)

    def _frame(self, link: Link, frame: Frame) -> bool:
        header = frame.header
        if header.kind == Kind.LINK_PROBE or header.dst == link.me:
            return False
        self.seen[header.kind] += 1
        self.bodies.append(frame.body)
        onward = next((each for each in self._links if each is not link and each.there == header.dst), None)
        if onward is not None and header.ttl > 1:
            hop = Passing(frame, link, onward).saying(ttl=header.ttl - 1)
            for passing in self.meddle(hop):
                self.sends(passing)
        return True

    def _message(self, link: Link, message: bytes) -> None:
        if message[1] not in GOSSIP:
            return
        if any(not each.is_up for each in self._links) or len(self._links) < 2:
            self._waiting.append((link, message))
            return
        self._spread(link, message)

    def _spread(self, link: Link, message: bytes) -> None:
        for each in self._links:
            if each is not link and each.is_up:
                each.says(*self.alter(message))


def towards(node: str, meddle: Meddle) -> Meddle:
    """Do it to frames for that handle alone."""
    return lambda passing: (meddle if passing.frame.header.dst == node else honestly)(passing)
