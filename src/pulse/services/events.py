"""Keeps the journal of this node: takes in what happened, and has it written by a thread of its own.

The event loop never waits for the disk. Invariant: what matters for trust waits in memory until it is written, for as
long as that takes; what others can cause without end waits in bounded numbers, and what there was no room for is told.
"""

import asyncio
import copy
import logging
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from typing import Final, Protocol, TypeVar

from pulse import clock
from pulse.core.chronicle import Chronicle
from pulse.core.effects import Effect
from pulse.core.events import BOUNDED, PATIENT, Event, Kind, Past
from pulse.core.trust.certificates import Certificate
from pulse.core.trust.members import label
from pulse.core.types import NodeId
from pulse.errors import PulseError, SystemRefused
from pulse.store.journal import Entry

log = logging.getLogger(__name__)

GATHER: Final = 1.0
"""Seconds that joins and what others cause may wait for more of their kind; the rest is written at once."""

WAITING: Final = 1000
"""Events that may wait for a slow disk before those that others cause give way."""

RETRY: Final = 10.0
"""Seconds after which a disk that refused is tried again."""

LAST_WORDS: Final = 3.0
"""Seconds that the end of a node waits for the disk."""

SUBSCRIBED: Final = 256
"""Entries that wait for one subscriber."""

_T = TypeVar("_T")
Happened = Sequence[tuple[float, Event]]


class Journal(Protocol):
    """What this service asks of the journal's files, in their thread."""

    @property
    def past(self) -> Past: ...
    def append(self, happened: Happened) -> list[Entry]: ...
    def keep_head(self) -> None: ...
    def close(self) -> None: ...


class Subscription:
    """Entries as they are written; one who reads slowly loses the oldest, and sees a gap in the numbers."""

    def __init__(self) -> None:
        self._entries: deque[Entry] = deque(maxlen=SUBSCRIBED)
        self._more = asyncio.Event()

    def tell(self, entries: Iterable[Entry]) -> None:
        """These were written."""
        self._entries.extend(entries)
        self._more.set()

    async def __aiter__(self) -> AsyncIterator[Entry]:
        while True:
            await self._more.wait()
            self._more.clear()
            while self._entries:
                yield self._entries.popleft()


class EventsService:
    """The journal's pen."""

    def __init__(self, journal: Journal, chronicle: Chronicle) -> None:
        self.problem = ""
        """Why nothing can be written now; empty if all is well."""
        self.lost = 0
        """Events for which there was no room, in this run."""
        self._journal, self._chronicle = journal, chronicle
        self._waiting: list[tuple[float, Event]] = []
        self._stirred, self._filled, self._pressing = asyncio.Event(), asyncio.Event(), asyncio.Event()
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="events")
        self._writing: tuple[Future[list[Entry] | PulseError], Happened] | None = None
        self._turn = asyncio.Lock()
        self._untold = 0
        """Lost ones that the journal does not tell of yet."""
        self._subscribers: set[Subscription] = set()

    # What happens

    def performed(self, effects: Iterable[Effect]) -> None:
        """The core asked for these."""
        self._take(self._chronicle.performed(effects, _now()))

    def happened(self, event: Event) -> None:
        """Something that the mesh does not know of."""
        self._take(self._chronicle.happened(event, _now()))

    def issued(self, to: Certificate) -> None:
        """The CA on this node signed a node's first certificate."""
        self.happened(Event(Kind.ISSUE, {"node": to.node_id, "name": label(to), "v4": str(to.addresses.v4)}))

    def edit_asked(self, by: NodeId) -> None:
        """The scribe on this node is about to make an edit that `by` asks for."""
        self._chronicle.edit_asked(by)

    def refused(self, why: str, node: str = "") -> None:
        """Somebody was refused something; `node` if we know who."""
        self._take(self._chronicle.refused(why, _now(), node))

    # Who wants to hear

    @contextmanager
    def subscribe(self) -> Iterator[Subscription]:
        """Entries from now on, for as long as this is open."""
        subscription = Subscription()
        self._subscribers.add(subscription)
        try:
            yield subscription
        finally:
            self._subscribers.discard(subscription)

    async def ask(self, question: Callable[[], _T]) -> _T:
        """What the journal's files tell, after all that waits is written; asked in their thread."""
        await self._write()
        return await asyncio.wrap_future(self._thread.submit(question))

    # Running

    async def run(self) -> None:
        """Serve, until cancelled; the last word is written on the way out."""
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._look())
                tasks.create_task(self._keep_writing())
        finally:
            self.happened(Event(Kind.STOP))
            self._write_last()

    async def _look(self) -> None:
        while True:
            due = self._chronicle.deadline()
            if due is not None and due <= _now():
                self._take(self._chronicle.tick(_now()))
                continue
            self._stirred.clear()
            with suppress(TimeoutError):
                async with asyncio.timeout_at(due):
                    await self._stirred.wait()

    async def _keep_writing(self) -> None:
        while True:
            await self._filled.wait()
            with suppress(TimeoutError):
                async with asyncio.timeout(GATHER):
                    await self._pressing.wait()
            await self._write()
            if self.problem:
                await asyncio.sleep(RETRY)

    # Details

    def _take(self, events: Sequence[Event]) -> None:
        at = clock.wall()
        for event in events:
            if event.kind in BOUNDED and len(self._waiting) >= WAITING:
                self.lost += 1
                self._untold += 1
                continue
            self._waiting.append((at, event))
            self._filled.set()
            if event.kind not in PATIENT:
                self._pressing.set()
        if self._chronicle.deadline() is not None:
            self._stirred.set()

    async def _write(self) -> None:
        """All that waits, unless the disk refuses."""
        async with self._turn:
            # Who waited for the write before this one may have gone away.
            await self._written()
            if not self._waiting:
                return
            self._hand_over()
            await self._written()
            if self._untold and not self.problem:
                await self._make_up()

    def _hand_over(self) -> None:
        batch, self._waiting = self._waiting, []
        self._filled.clear()
        self._pressing.clear()
        self._writing = self._thread.submit(self._append, batch), batch

    async def _written(self) -> None:
        if self._writing is not None:
            # Not cancelled with us: a write goes on, and what comes of it is to be seen.
            await asyncio.wait([asyncio.wrap_future(self._writing[0])])
            self._settle()

    def _settle(self) -> None:
        """See what came of the write that was handed over."""
        if self._writing is None:
            return
        (future, batch), self._writing = self._writing, None
        try:
            outcome = future.result(LAST_WORDS)
        except TimeoutError:
            outcome = SystemRefused("the disk does not answer")
        if isinstance(outcome, PulseError):
            self._failed(str(outcome))
            self._waiting[:0] = batch
            self._filled.set()
            return
        self._recovered()
        self._thread.submit(self._keep_head)
        for subscriber in self._subscribers:
            subscriber.tell(outcome)

    def _append(self, batch: Happened) -> list[Entry] | PulseError:
        """In the journal's thread; an error is a value, for nobody may be there any more to catch one."""
        try:
            return self._journal.append(batch)
        except PulseError as error:
            return error

    def _keep_head(self) -> None:
        try:
            self._journal.keep_head()
        except PulseError as error:
            log.debug("head of the journal not kept", extra={"error": str(error)})

    async def _make_up(self) -> None:
        """Some events were lost, so what the journal tells is not what was decided: compare anew."""
        past = await asyncio.wrap_future(self._thread.submit(copy.deepcopy, self._journal.past))
        for at, event in self._waiting:
            past.happened(event, at)
        self._chronicle.journal_lacks(past)
        lost, self._untold = self._untold, 0
        self.happened(Event(Kind.GAP, {"lost": lost}))

    def _failed(self, error: str) -> None:
        if not self.problem:
            log.warning("events not kept on disk", extra={"error": error})
        self.problem = error

    def _recovered(self) -> None:
        if self.problem:
            log.info("events are kept on disk again")
        self.problem = ""

    def _write_last(self) -> None:
        self._settle()
        if not self.problem and self._waiting:
            self._hand_over()
            self._settle()
        self._thread.submit(self._journal.close)
        self._thread.shutdown(wait=not self.problem)


def _now() -> float:
    return asyncio.get_running_loop().time()
