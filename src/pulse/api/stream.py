"""`/api/events` as a stream of server-sent events: what happens, told as it happens.

Invariant: a reader costs one of a few places and what the feed keeps for it; who reads slowly sees gaps in the ids.
Nothing is told under a key that was revoked, but that it was revoked.
"""

import asyncio
from collections.abc import AsyncIterable, AsyncIterator, Awaitable, Callable
from contextlib import AbstractContextManager
from functools import partial
from http import HTTPStatus
from typing import Any, Final, Protocol

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from pulse.api.app import STREAM, problem
from pulse.api.keyed import HOLDER, Holder
from pulse.schemas.events import EventInfo

PLACES: Final = 16
"""Streams at once over TCP: each is a connection that does not end, of 64."""

PLACES_A_KEY: Final = 5
"""Of them, for those who show the same key. A browser has six connections to one address, for all its tabs: with six
streams none were left for what the pages ask, and all would stand still."""

PLACES_HERE: Final = 32
"""Streams at once for programs and people of this machine, which no key takes from them."""

_END_ONE: Final = "End one of them: pulse events -f, pulse top, a dashboard, or a program"

HEARTBEAT: Final = 15.0
"""Seconds after which a stream that has nothing to tell says so: proxies forget silent connections."""

REVOKED: Final = b": the key was revoked\n\n"
"""The last words to a reader whose key is good no more: any other end is that of the node, or of the way to it."""

Gone = Callable[[], Awaitable[None]]
"""Returns once the reader has gone away."""

Say = Callable[[bytes], Awaitable[None]]

_encode = msgspec.json.Encoder().encode


class Feed(Protocol):
    """Who tells what happens."""

    def subscribe(self) -> AbstractContextManager[AsyncIterable[EventInfo]]:
        """What happens from now on; a bounded number of events waits for a slow reader, and the oldest give way."""
        ...


class EventStream:
    """Answers at one door with a stream for as long as its reader stays, or until `close`."""

    def __init__(self, feed: Feed, places: int, door: str) -> None:
        """Tell what `feed` tells, to so many at once; `door` is for people: over TCP."""
        self._feed, self._places, self._door = feed, places, door
        self._readers: dict[asyncio.Event, Holder | None] = {}
        """What ends each stream, and who reads it; nobody with a key over the control socket."""
        self._closed = False

    def close(self) -> None:
        """End all streams: the node stops."""
        self._closed = True
        for end in self._readers:
            end.set()

    def keys_changed(self) -> None:
        """End the streams whose key is good no more."""
        for end, holder in self._readers.items():
            if holder and not holder.is_good():
                end.set()

    async def __call__(self, request: Request) -> Response:
        """The answer to one reader."""
        holder: Holder | None = request.scope.get(HOLDER)
        if full := self._full(holder):
            return problem(HTTPStatus.SERVICE_UNAVAILABLE, full, "LinkError")
        return _Following(partial(self.tell, holder))

    def _full(self, holder: Holder | None) -> str:
        """Why there is no place for one more; nothing if there is."""
        if len(self._readers) >= self._places:
            return f"{self._places} readers follow events {self._door} already, and there may be no more. {_END_ONE}"
        same = [each for each in self._readers.values() if holder and each and each.key == holder.key]
        if len(same) < PLACES_A_KEY:
            return ""
        return f"{PLACES_A_KEY} readers follow events with this key already, and there may be no more. {_END_ONE}"

    async def tell(self, holder: Holder | None, gone: Gone, say: Say) -> None:
        """Say what happens, until the reader is gone, its key is, or all streams end."""
        end = asyncio.Event()
        if self._closed or (holder and not holder.is_good()):
            return
        self._readers[end] = holder
        try:
            with self._feed.subscribe() as happenings:
                await self._follow(aiter(happenings), gone, end, say)
            if holder and not holder.is_good():
                await say(REVOKED)
        finally:
            del self._readers[end]

    async def _follow(self, coming: AsyncIterator[EventInfo], gone: Gone, end: asyncio.Event, say: Say) -> None:
        ends: list[asyncio.Future[Any]] = [asyncio.ensure_future(gone()), asyncio.ensure_future(end.wait())]
        # Not cancelled by a heartbeat: that would end what it waits for.
        following: asyncio.Future[EventInfo | None] = asyncio.ensure_future(anext(coming, None))
        try:
            await say(b": what happens from now on\n\n")
            while True:
                await asyncio.wait([following, *ends], timeout=HEARTBEAT, return_when=asyncio.FIRST_COMPLETED)
                if end.is_set() or any(each.done() for each in ends):
                    return
                if not following.done():
                    await say(b": still here\n\n")
                elif (happening := following.result()) is None:
                    return
                else:
                    await say(written(happening))
                    following = asyncio.ensure_future(anext(coming, None))
        finally:
            following.cancel()
            for each in ends:
                each.cancel()


class _Following(Response):
    """An answer that goes on."""

    def __init__(self, tell: Callable[[Gone, Say], Awaitable[None]]) -> None:
        super().__init__(media_type=STREAM)
        del self.headers["content-length"]
        self._tell = tell

    async def __call__(self, _: Scope, receive: Receive, send: Send) -> None:
        async def gone() -> None:
            while (await receive())["type"] != "http.disconnect":
                pass

        async def say(text: bytes) -> None:
            await send({"type": "http.response.body", "body": text, "more_body": True})

        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        await self._tell(gone, say)
        await send({"type": "http.response.body", "body": b""})


def written(event: EventInfo) -> bytes:
    """As the HTML standard wants it (9.2): number, type and JSON, each on a line of its own."""
    kind = "".join(char for char in event.type if char.isprintable())
    return f"id: {event.seq}\nevent: {kind}\ndata: ".encode() + _encode(event) + b"\n\n"
