"""What we know of and do not hold: who has it, whom we asked, and whom to ask next.

Keys are the 12-byte ids of records or the 32-byte hashes of certificates. What is asked twice is sent twice, so a
key is asked of one neighbour at a time, and of one neighbour only as much as it can send soon.
Invariant: a key is looked for until it is held or everybody who had it was asked.
"""

import heapq
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from enum import Enum
from itertools import islice
from math import inf
from typing import Final, NamedTuple

from pulse.core.types import LinkId

MOST_KEYS: Final = 4096
"""Keys one neighbour may make us look for: as many as there are records at most."""

MOST_SOURCES: Final = 4
"""Neighbours remembered who have a key."""

MOST_ASKED: Final = 128
"""Keys asked of one neighbour and not answered: some 3 s of records and certificates at its pace."""

LATE: Final = 0.2
"""Seconds within which a record should follow its id by itself."""

ANSWER: Final = 1.0
"""Seconds in which a neighbour with nothing else to send should have answered."""

ANSWERS_A_SECOND: Final = 25.0
"""What a neighbour that has much to send may be counted on to send."""


BULK_RATE: Final = 155.0
BULK_BURST: Final = 16
"""Of many keys we miss, so many are asked for at once, and then each second, of all neighbours together; what comes
unasked counts too. A thousand nodes that start in the same second would otherwise all fill their lines in it."""


UNASKED_AHEAD: Final = 1.0
"""Seconds by which what comes unasked may put off the turns: who sends without end holds up nothing for longer."""


class Came(Enum):
    """How something reached us."""

    UNASKED = "unasked"
    ASKED = "asked"
    IN_BULK = "asked for with many others"


@dataclass(slots=True)
class _Lack:
    came: Came
    """How it will have reached us once somebody sends it on our asking."""
    owner: LinkId | None
    """The neighbour that told us first: it counts against its share of keys."""
    sources: list[LinkId]
    """Who has it and was not asked yet."""
    due: float = inf
    """When to ask the next one; never while all of them are busy."""
    queued: bool = False
    """Among many, it has its turn."""


class _Question(NamedTuple):
    until: float
    """When to wait for the answer no longer."""
    came: Came


@dataclass(slots=True)
class Asking:
    """Ask a neighbour for these."""

    link: LinkId
    keys: list[bytes] = field(default_factory=list)
    in_bulk: bool = True
    """We miss them because we are new there, or all is in a rush, not because they did not come by themselves."""


class Wants:
    """The keys we lack."""

    def __init__(self, slot_bytes: int, holds: Callable[[bytes], bool], most: int = MOST_KEYS) -> None:
        self._slot_bytes, self._holds, self._most = slot_bytes, holds, most
        self._lacks: dict[bytes, _Lack] = {}
        self._heap: list[tuple[float, bytes]] = []
        """An entry counts if it is what the lack says; others are left over and skipped."""
        self._waiting: dict[LinkId, dict[bytes, None]] = {}
        """Keys all of whose sources are busy, by each of these, longest first: who never answers holds up its own."""
        self._asked: dict[LinkId, dict[bytes, _Question]] = {}
        """By slot: that of a record is its handle, so a newer version answers too."""
        self._expires = inf
        """No question is over before."""
        self._shares: dict[LinkId, int] = {}
        self._turn = -inf
        """When the next of many has its turn."""

    # Facts

    def announced(self, key: bytes, link: LinkId, now: float, wait: float = 0.0, came: Came = Came.ASKED) -> None:
        """A neighbour has `key`, which we lack: to be asked for unless it comes by itself within `wait` seconds."""
        lack = self._lacks.get(key)
        if lack is None:
            if self._shares.get(link, 0) < self._most:
                self._shares[link] = self._shares.get(link, 0) + 1
                self._lacks[key] = _Lack(came, link, [link])
                self._schedule(key, now + wait)
        elif link not in lack.sources and len(lack.sources) < MOST_SOURCES:
            lack.sources.append(link)
            if lack.due == inf:
                self._schedule(key, now)

    def answered(self, link: LinkId, slot: bytes, now: float) -> Came:
        """A neighbour sent what is in `slot`, asked or not; what came by itself takes the turn of one of many."""
        asked = self._asked.get(link, {})
        question = asked.pop(slot, None)
        if question is None:
            if self._turn < now + UNASKED_AHEAD:
                self._take_turn(now)
            return Came.UNASKED
        self._wake(link, now)
        return question.came

    def arrived(self, key: bytes) -> None:
        """We hold `key` now."""
        lack = self._lacks.pop(key, None)
        if lack is not None:
            self._wait_no_more(key, lack)
            if lack.owner is not None:
                self._shares[lack.owner] -= 1

    def link_closed(self, link: LinkId, now: float) -> None:
        """A neighbour is gone: what it was asked is asked of others at once."""
        asked = self._asked.pop(link, {})
        self._shares.pop(link, None)
        self._waiting.pop(link, None)
        for key, lack in self._lacks.items():
            if lack.owner == link:
                lack.owner = None
            if link in lack.sources:
                lack.sources.remove(link)
            if not lack.sources or key[: self._slot_bytes] in asked:
                self._schedule(key, now)

    # The machine's face

    def deadline(self) -> float | None:
        """When somebody is to be asked."""
        while self._heap and not self._counts(*self._heap[0]):
            heapq.heappop(self._heap)
        times = [self._heap[0][0]] if self._heap else []
        if self._waiting:
            times += [until for asked in self._asked.values() for until, _ in asked.values()]
        return min(times, default=None)

    def due(self, now: float) -> list[Asking]:
        """Whom to ask for what now."""
        self._expire(now)
        asking: dict[LinkId, Asking] = {}
        self._collect(asking, now)
        while any(self._wake(link, now) for link in [*self._waiting]):
            # Those woken before were held already, or went to others.
            self._collect(asking, now)
        return [*asking.values()]

    def __iter__(self) -> Iterator[bytes]:
        return iter(self._lacks)

    def __len__(self) -> int:
        """Keys looked for."""
        return len(self._lacks)

    # Details

    def _collect(self, asking: dict[LinkId, Asking], now: float) -> None:
        while self._heap and self._heap[0][0] <= now:
            due, key = heapq.heappop(self._heap)
            if not self._counts(due, key):
                continue
            lack = self._lacks[key]
            if not lack.sources or self._holds(key):
                self.arrived(key)
                continue
            if lack.came is Came.IN_BULK and not lack.queued:
                lack.queued = True
                if (turn := self._take_turn(now)) > now:
                    self._schedule(key, turn)
                    continue
            link = self._ask(key, lack, now)
            if link is not None:
                batch = asking.setdefault(link, Asking(link))
                batch.keys.append(key)
                batch.in_bulk &= lack.came is Came.IN_BULK

    def _take_turn(self, now: float) -> float:
        """When the next of many may be asked for; counts as one."""
        turn = max(self._turn, now - BULK_BURST / BULK_RATE)
        self._turn = turn + 1 / BULK_RATE
        return turn

    def _ask(self, key: bytes, lack: _Lack, now: float) -> LinkId | None:
        link = min(lack.sources, key=lambda each: len(self._asked.get(each, ())))
        asked = self._asked.setdefault(link, {})
        slot = key[: self._slot_bytes]
        if slot in asked:
            # Another version of the same record is on its way from there: see what comes.
            self._schedule(key, asked[slot].until)
            return None
        if len(asked) >= MOST_ASKED:
            lack.due = inf
            for each in lack.sources:
                self._waiting.setdefault(each, {})[key] = None
            return None
        asked[slot] = _Question(now + ANSWER + len(asked) / ANSWERS_A_SECOND, lack.came)
        self._expires = min(self._expires, asked[slot].until)
        lack.sources.remove(link)
        self._schedule(key, asked[slot].until)
        return link

    def _schedule(self, key: bytes, due: float) -> None:
        lack = self._lacks[key]
        self._wait_no_more(key, lack)
        lack.due = due
        heapq.heappush(self._heap, (due, key))

    def _counts(self, due: float, key: bytes) -> bool:
        lack = self._lacks.get(key)
        return lack is not None and lack.due == due

    def _wait_no_more(self, key: bytes, lack: _Lack) -> None:
        if lack.due != inf:
            return
        for link in lack.sources:
            waiting = self._waiting.get(link, {})
            waiting.pop(key, None)
            if not waiting:
                self._waiting.pop(link, None)

    def _wake(self, link: LinkId, now: float, most: int = MOST_ASKED // 2) -> bool:
        """Try as many keys as that neighbour can be asked now, unless `most` are not answered; true if any."""
        asked, waiting = len(self._asked.get(link, ())), self._waiting.get(link)
        if not waiting or asked > most:
            return False
        for key in [*islice(waiting, MOST_ASKED - asked)]:
            self._schedule(key, now)
        return True

    def _expire(self, now: float) -> None:
        # Asked after every message: a look at each question would cost more than the message.
        if now < self._expires:
            return
        for link, asked in self._asked.items():
            over = [slot for slot, question in asked.items() if question.until <= now]
            for slot in over:
                del asked[slot]
            if over:
                self._wake(link, now, MOST_ASKED - 1)
        running = (question.until for asked in self._asked.values() for question in asked.values())
        self._expires = min(running, default=inf)
