"""The SOCKS5 and HTTP CONNECT proxy: speaks with programs until they are let through; then Rust moves their bytes.

Invariant: whoever has asked for nothing costs one of `HALF_OPEN` places for `HANDSHAKE` seconds, and gives way to who
comes after; nobody is told "granted" before the far side connected.
"""

import asyncio
import logging
import socket
from collections import Counter
from dataclasses import dataclass, field
from functools import partial
from typing import Final

from pulse.core.network import handshake, streamcodes
from pulse.core.network.destinations import Destination
from pulse.core.network.proxying import Answer, Login, ProxyRefused, Speech
from pulse.core.network.streamcodes import StreamCode, StreamKind
from pulse.core.network.whereabouts import Place, Whereabouts
from pulse.core.types import NodeId
from pulse.errors import PulseError, StreamFailed
from pulse.net.listeners import Arrivals
from pulse.net.local import LocalClient
from pulse.net.opening import Opened, Opens

log = logging.getLogger(__name__)

HALF_OPEN: Final = 512
"""Clients at once that have not said yet where they want to go; then the oldest is hung up on."""

LEAVING: Final = 256
"""Clients at once that were refused and have a second to read why; the same."""

OPENING: Final = 1024
"""Clients at once whose far side has not connected yet; others are told that we are busy."""

OPENING_OF_ONE: Final = 512
"""Those of one node, so that one which does not answer leaves room for the others."""

HANDSHAKE: Final = 10.0
"""Seconds a client has to say where it wants to go."""

_ANSWERS: Final = {
    StreamCode.NO_STREAMS: Answer.HOST_UNREACHABLE,
    StreamCode.NOT_ALLOWED: Answer.NOT_ALLOWED,
    StreamCode.FORBIDDEN: Answer.NOT_ALLOWED,
    StreamCode.NO_NAME: Answer.HOST_UNREACHABLE,
    StreamCode.HOST_UNREACHABLE: Answer.HOST_UNREACHABLE,
    StreamCode.NETWORK_UNREACHABLE: Answer.NETWORK_UNREACHABLE,
    StreamCode.REFUSED: Answer.REFUSED,
    StreamCode.TIMED_OUT: Answer.TIMED_OUT,
    StreamCode.BUSY: Answer.BUSY,
    StreamCode.AWAY: Answer.HOST_UNREACHABLE,
    StreamCode.SILENT: Answer.TIMED_OUT,
    StreamCode.CROWDED: Answer.BUSY,
}
"""What a client is told; of all other codes that it failed."""


@dataclass(slots=True)
class SocksService:
    """One proxy; `listener` listens already."""

    listener: socket.socket
    streams: Opens
    whereabouts: Whereabouts
    login: Login | None = None
    active: int = 0
    """Clients that are connected to their far side now."""
    total: int = 0
    """Clients that were let through since the start, those included."""
    bytes_in: int = 0
    """What they got from their far sides, of those that are gone."""
    bytes_out: int = 0
    refused: int = 0
    """Clients that were told why not."""
    _half_open: "_Places" = field(default_factory=lambda: _Places(HALF_OPEN))
    _leaving: "_Places" = field(default_factory=lambda: _Places(LEAVING))
    _opening: Counter[NodeId] = field(default_factory=Counter)
    """Clients whose far side has not connected yet, by its node."""

    async def run(self) -> None:
        """Serve, until cancelled."""
        arrivals = Arrivals(self.listener)
        with self.listener:
            async with asyncio.TaskGroup() as tasks:
                while True:
                    client = LocalClient(await arrivals.next())
                    task = tasks.create_task(self._serve(client))
                    self._half_open.take(client, task)
                    task.add_done_callback(partial(self._done, client))
                    # Whoever has said all already is through before the next one may cost it its place.
                    await asyncio.sleep(0)

    def _done(self, client: LocalClient, _: asyncio.Task[None]) -> None:
        self._half_open.forget(client)
        self._leaving.forget(client)
        client.close()

    async def _serve(self, client: LocalClient) -> None:
        try:
            await self._attend(client)
        except (OSError, TimeoutError) as error:
            log.debug("SOCKS client left", extra={"error": str(error)})
        except Exception:
            # Whatever the words of one program run into, the others are to be served.
            log.exception("SOCKS client broke the proxy")

    async def _attend(self, client: LocalClient) -> None:
        """From its first word to the last byte. Raises OSError if it leaves, TimeoutError if it says nothing."""
        async with asyncio.timeout(HANDSHAKE):
            speech = await _spoken(client, self.login)
        task = self._half_open.pop(client)
        opened = await self._granted(client, speech)
        if opened is None:
            self.refused += 1
            self._leaving.take(client, task)
            await client.hang_up()
            return
        await self._spliced(opened, client.release())

    async def _granted(self, client: LocalClient, speech: Speech | None) -> Opened | None:
        """What the client was told is open; None once it was told why nothing is. Raises OSError."""
        if speech is None or speech.asked is None:
            return None
        asked = speech.asked
        try:
            opened = await self._opened(client, self.whereabouts.find(asked.host), asked.port)
        except ProxyRefused as why:
            log.debug("SOCKS client refused", extra={"host": str(asked.host), "port": asked.port, "error": str(why)})
            await client.say(speech.refused(why))
            return None
        try:
            await client.say(speech.granted())
        except BaseException:
            opened.cancel()
            raise
        return opened

    async def _spliced(self, opened: Opened, sock: socket.socket) -> None:
        opened.splice(sock)
        self.total += 1
        self.active += 1
        try:
            moved = await opened.closed()
        finally:
            self.active -= 1
        self.bytes_out += moved.sent
        self.bytes_in += moved.received

    async def _opened(self, client: LocalClient, place: Place, port: int) -> Opened:
        """Raises ProxyRefused, or OSError if it leaves meanwhile: then it is dialled for no longer."""
        if self._opening[place.node] >= OPENING_OF_ONE or self._opening.total() >= OPENING:
            raise ProxyRefused(Answer.BUSY, "too many others wait for their connection already. Try again later")
        kind = StreamKind.EXIT if place.beyond else StreamKind.SOCKS
        self._opening[place.node] += 1
        try:
            async with asyncio.timeout(None) as limit:
                with client.watched(partial(limit.reschedule, 0.0)):
                    return await self.streams.open(place.node, Destination(place.host, port), kind)
        except TimeoutError:
            raise ConnectionResetError("it left before it was connected") from None
        except StreamFailed as error:
            raise ProxyRefused(answer_to(error), str(error)) from error
        except PulseError as error:
            raise ProxyRefused(Answer.FAILED, str(error)) from error
        finally:
            self._opening[place.node] -= 1
            if not self._opening[place.node]:
                del self._opening[place.node]


@dataclass(slots=True)
class _Places:
    """Clients that a table has room for, the oldest first."""

    most: int
    _held: dict[LocalClient, asyncio.Task[None]] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self._held)

    def take(self, client: LocalClient, task: asyncio.Task[None]) -> None:
        """The client, whom this task serves, costs a place from now on; if none is free the oldest gives way."""
        if len(self._held) >= self.most:
            self._held.pop(next(iter(self._held))).cancel()
        self._held[client] = task

    def pop(self, client: LocalClient) -> asyncio.Task[None]:
        """The client, which has a place, costs none any more; the task that serves it."""
        return self._held.pop(client)

    def forget(self, client: LocalClient) -> None:
        """The client is gone, if it had a place."""
        self._held.pop(client, None)


def answer_to(error: StreamFailed) -> Answer:
    """What a client is told of a stream that did not open."""
    return _ANSWERS.get(streamcodes.code_of(error.code), Answer.FAILED)


async def _spoken(client: LocalClient, login: Login | None) -> Speech | None:
    """Speak with a client until it has said where it wants to go, or has been refused. Raises OSError."""
    data = await client.look()
    if not data:
        raise ConnectionResetError("it sent nothing")
    speech = handshake.begun(data[0], login)
    if speech is None:
        await client.say(handshake.last_words(data[0]))
        return None
    while True:
        step = speech.received(data)
        client.take(step.used)
        await client.say(step.say)
        if speech.asked or speech.over:
            return speech
        data = await client.look()
        if not data:
            raise ConnectionResetError("it left in mid-sentence")
