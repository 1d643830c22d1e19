"""What happens in the mesh, as it happens: an async iterator over the node's stream of server-sent events.

Invariant: its end is an error that says why, never a silence; who gives up waiting may wait again, and misses nothing.
"""

import asyncio
import contextlib
from pathlib import Path
from typing import Final, Self

import h11
import msgspec

from pulse.errors import LinkError
from pulse.schemas.events import EventInfo
from pulse.schemas.structs import Problem

PATIENCE: Final = 60.0
"""Seconds without a word, of which a node says one each 15 s."""

_CHUNK: Final = 65536
_events = msgspec.json.Decoder(EventInfo)


class Events:
    """Follows from its first step on; closed with the mesh, or with `aclose`."""

    def __init__(self, control: Path) -> None:
        """Of the node that is controlled there."""
        self._control = control
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None
        self._http = h11.Connection(h11.CLIENT)
        self._text = b""
        self._begun, self._closed = False, False

    def __aiter__(self) -> Self:
        """Itself."""
        return self

    async def __anext__(self) -> EventInfo:
        """The next event: `type`, `time`, `node` (an id), `name`, `fields`. Raises LinkError if the node is gone."""
        if self._closed:
            raise StopAsyncIteration
        try:
            if not self._begun:
                await self._begin()
            while True:
                block, found, rest = self._text.partition(b"\n\n")
                if not found:
                    async with asyncio.timeout(PATIENCE):
                        self._text += await self._more()
                    continue
                self._text = rest
                if said := _data(block):
                    return _events.decode(said)
        except (OSError, h11.ProtocolError, msgspec.DecodeError) as error:
            if self._closed:
                raise StopAsyncIteration from None
            await self.aclose()
            raise LinkError("the node here tells no more events: it is gone. See: pulse status") from error
        except asyncio.CancelledError:
            if not self._begun:
                self._forget()
            raise
        except BaseException:
            await self.aclose()
            raise

    def stop(self) -> None:
        """Follow no more: the iteration ends."""
        self._closed = True
        if self._streams:
            self._streams[1].close()

    async def aclose(self) -> None:
        """The same, and wait until all is closed."""
        self.stop()
        if self._streams:
            writer = self._streams[1]
            self._streams = None
            with contextlib.suppress(OSError):
                await writer.wait_closed()

    async def _begin(self) -> None:
        self._streams = await asyncio.open_unix_connection(self._control)
        if self._closed:
            # While we connected.
            self._streams[1].close()
            raise ConnectionResetError
        headers = [("Host", "localhost"), ("Accept", "text/event-stream")]
        asking = h11.Request(method="GET", target="/api/events", headers=headers)
        self._streams[1].write((self._http.send(asking) or b"") + (self._http.send(h11.EndOfMessage()) or b""))
        answer = await self._next()
        if isinstance(answer, h11.Response) and answer.status_code >= 400:
            problem = msgspec.json.decode(await self._more(), type=Problem)
            raise LinkError(problem.detail)
        self._begun = True

    def _forget(self) -> None:
        """Hang up in the midst of a beginning; the next step begins anew."""
        if self._streams:
            self._streams[1].close()
        self._streams, self._http = None, h11.Connection(h11.CLIENT)

    async def _more(self) -> bytes:
        event = await self._next()
        if not isinstance(event, h11.Data):
            raise ConnectionResetError
        return bytes(event.data)

    async def _next(self) -> h11.Event:
        while (event := self._http.next_event()) is h11.NEED_DATA:
            if self._streams is None:
                raise ConnectionResetError
            self._http.receive_data(await self._streams[0].read(_CHUNK))
        if not isinstance(event, h11.Event):
            raise ConnectionResetError
        return event


def _data(block: bytes) -> bytes:
    """What an event says; nothing for a remark."""
    return b"\n".join(line[6:] for line in block.split(b"\n") if line.startswith(b"data: "))
