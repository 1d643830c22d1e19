"""Tells what the journal of this node has: events that fit a question, and how the mesh looked at a time.

Invariant: nodes are named as they were called when it happened; what the journal cannot know is said, not guessed.
"""

from collections.abc import AsyncIterable, AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import partial
from typing import Final, Protocol, TypeVar

from pulse import clock
from pulse.core.events import BOOKKEEPING, Kind, Past
from pulse.core.types import LEAST_PREFIX, SHORT_ID, NodeId, is_node_id
from pulse.errors import ConfigError
from pulse.schemas.events import EventInfo, Events, EventsQuery, Moment, MomentQuery, PastPeer
from pulse.schemas.journal import JournalCheck
from pulse.store import events as store
from pulse.store.journal import Entry, Verification

TYPES: Final = tuple(kind.value for kind in Kind if kind not in BOOKKEEPING)

_T = TypeVar("_T")


class Journal(Protocol):
    """What this service asks of the journal's files, in their thread."""

    def newest(self, limit: int, fits: store.Fits) -> list[Entry]: ...
    def after(self, number: int, limit: int, fits: store.Fits) -> list[Entry]: ...
    def at(self, time: float) -> store.Moment: ...
    def verify(self) -> Verification: ...


class Pen(Protocol):
    """What this service asks of whoever writes the journal."""

    problem: str
    lost: int

    def ask(self, question: Callable[[], _T]) -> Awaitable[_T]: ...
    def subscribe(self) -> AbstractContextManager[AsyncIterable[Entry]]: ...


@dataclass(frozen=True, slots=True)
class HistoryService:
    """Reads the journal for the control API."""

    journal: Journal
    pen: Pen
    me: NodeId
    label_of: Callable[[NodeId], str]
    """What a node is called now."""

    async def events(self, wanted: EventsQuery) -> Events:
        """The events that fit."""
        fits = _fitting(wanted, self.label_of)
        if wanted.after is None:
            found = await self.pen.ask(partial(self.journal.newest, wanted.limit, fits))
        else:
            found = await self.pen.ask(partial(self.journal.after, wanted.after, wanted.limit, fits))
        return Events([self._shown(entry) for entry in found], self.pen.problem, self.pen.lost)

    async def verify(self) -> JournalCheck:
        """Walk the journal's chain."""
        found = await self.pen.ask(self.journal.verify)
        return JournalCheck(found.entries, found.broken, found.reason, found.time)

    async def at(self, wanted: MomentQuery) -> Moment:
        """The mesh as it was. Raises NotFound for a time before the journal begins, ConfigError for one to come."""
        if wanted.time > clock.wall():
            raise ConfigError("that time is yet to come")
        found = await self.pen.ask(partial(self.journal.at, wanted.time))
        past = found.past
        others = [
            PastPeer(node, each.name, each.v4, each.link, self._named(past, each.via), each.since, _roles(past, node))
            for node, each in past.nodes.items()
            if node != self.me
        ]
        return Moment(
            time=wanted.time,
            name=past.name_of(self.me) or self.label_of(self.me),
            state=_state(found),
            last=found.last.time,
            following=found.following.time if found.following else None,
            config=past.config,
            peers=sorted(others, key=lambda peer: (not peer.reached, peer.name)),
            revoked=sorted(name or node[:SHORT_ID] for node, name in past.revoked.items()),
        )

    @contextmanager
    def subscribe(self) -> Iterator[AsyncIterator[EventInfo]]:
        """Events as they are written from now on, for as long as this is open; a slow reader loses the oldest."""
        with self.pen.subscribe() as entries:
            yield self._told(entries)

    async def _told(self, entries: AsyncIterable[Entry]) -> AsyncIterator[EventInfo]:
        async for entry in entries:
            if entry.event not in BOOKKEEPING:
                yield self._shown(entry)

    def _shown(self, entry: Entry) -> EventInfo:
        fields = dict(entry.fields)
        node = str(fields.pop("node", ""))
        name = str(fields.pop("name", ""))
        if entry.event == Kind.EDIT and "was" in fields:
            fields["name"] = name
        for field, value in entry.fields.items():
            if field != "node" and isinstance(value, str) and is_node_id(value):
                fields[field] = self.label_of(NodeId(value))
        return EventInfo(
            entry.seq, entry.time, entry.event, node, name or (node and self.label_of(NodeId(node))), fields
        )

    def _named(self, past: Past, node: str) -> str:
        return past.name_of(node) or (self.label_of(NodeId(node)) if node else "")


def _roles(past: Past, node: str) -> list[str]:
    return [*(["ca"] if past.nodes[node].ca else []), *(["scribe"] if past.scribe == node else [])]


def _state(found: store.Moment) -> str:
    if not found.past.running:
        return "stopped"
    ended = found.following is not None and found.following.event == Kind.START
    return "unknown" if ended else "running"


def _fitting(wanted: EventsQuery, label_of: Callable[[NodeId], str]) -> store.Fits:
    types = frozenset(each.strip() for each in wanted.type.split(",") if each.strip())
    for unknown in sorted(types - set(TYPES)):
        raise ConfigError(f'"{unknown}" is no type of event. There are: {", ".join(TYPES)}')
    pattern = wanted.node.strip().lower()

    def fits(entry: Entry) -> bool:
        if entry.event in BOOKKEEPING or (types and entry.event not in types):
            return False
        if wanted.since is not None and entry.time < wanted.since:
            return False
        return not pattern or _concerns(entry, pattern, label_of)

    return fits


def _concerns(entry: Entry, pattern: str, label_of: Callable[[NodeId], str]) -> bool:
    """Whether it happened to a node that `pattern` names, by what it was called then or is called now."""
    node = str(entry.fields.get("node") or "")
    if not node:
        return False
    called = {str(entry.fields.get("name") or ""), label_of(NodeId(node))}
    if any(fnmatchcase(each, pattern) for each in (node, *called)):
        return True
    return len(pattern) >= LEAST_PREFIX and node.startswith(pattern)
