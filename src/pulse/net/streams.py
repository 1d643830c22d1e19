"""The data plane's streams behind the protocol `Streams`: events find the stream they are about.

Invariant: a stream is forgotten when the data plane has told its end, and is told once.
"""

import asyncio
from dataclasses import dataclass, field
from typing import Protocol

from pulse.core.types import NodeId
from pulse.net.links import Moved

BROKE = 261
"""The data plane's code for a stream that was lost before an answer."""


class Engine(Protocol):
    """What the data plane can be told of streams; numbers are its own."""

    def open_stream(self, node: bytes, header: bytes) -> int: ...
    def splice(self, stream: int, fd: int) -> None: ...
    def refuse_stream(self, stream: int, code: int) -> None: ...
    def cancel_stream(self, stream: int) -> None: ...


@dataclass(eq=False, slots=True)
class DataplaneStream:
    """One stream; its number is the data plane's."""

    node: NodeId
    header: bytes
    number: int
    _engine: Engine
    ended: asyncio.Future[Moved] = field(default_factory=lambda: asyncio.get_running_loop().create_future())
    answer: asyncio.Future[int] = field(default_factory=lambda: asyncio.get_running_loop().create_future())
    spliced: bool = False
    """Bytes can pass: it is a connection."""

    async def answered(self) -> int:
        return await asyncio.shield(self.answer)

    def splice(self, descriptor: int) -> None:
        self.spliced = True
        self._engine.splice(self.number, descriptor)

    def refuse(self, code: int) -> None:
        self._engine.refuse_stream(self.number, code)
        self.end(Moved(0, 0))

    def cancel(self) -> None:
        self._engine.cancel_stream(self.number)

    def end(self, moved: Moved) -> None:
        """It is over."""
        if not self.answer.done():
            self.answer.set_result(BROKE)
        if not self.ended.done():
            self.ended.set_result(moved)


@dataclass(slots=True)
class DataplaneStreams:
    """All streams of one data plane; their number is bounded there and by who opens them."""

    _engine: Engine
    _streams: dict[int, DataplaneStream] = field(default_factory=dict)
    _offered: asyncio.Queue[DataplaneStream] = field(default_factory=asyncio.Queue)
    """Bounded by the sessions, which hold at most 256 offers a peer."""
    bytes_in: int = 0
    """What came over connections that are over."""
    bytes_out: int = 0
    cut: int = 0
    """Of those that are over, how many did not end by themselves."""
    _over: int = 0

    @property
    def active(self) -> int:
        """Connections that are open now."""
        return sum(each.spliced for each in self._streams.values())

    @property
    def total(self) -> int:
        """All since the node started."""
        return self._over + self.active

    async def wait_offered(self) -> DataplaneStream:
        return await self._offered.get()

    def open(self, node: NodeId, header: bytes) -> DataplaneStream:
        number = self._engine.open_stream(bytes.fromhex(node), header)
        return self._keep(DataplaneStream(node, header, number, self._engine))

    # Events

    def offered(self, number: int, node: NodeId, header: bytes) -> None:
        """A node opened one to us."""
        self._offered.put_nowait(self._keep(DataplaneStream(node, header, number, self._engine)))

    def accepted(self, number: int) -> None:
        """One of ours leads somewhere now."""
        if (stream := self._streams.get(number)) and not stream.answer.done():
            stream.answer.set_result(0)

    def refused(self, number: int, code: int) -> None:
        """One of ours was refused, there or here."""
        if stream := self._streams.get(number):
            if not stream.answer.done():
                stream.answer.set_result(code or BROKE)
            stream.end(Moved(0, 0))

    def closed(self, number: int, sent: int, received: int, cut: int) -> None:
        """One is over."""
        if stream := self._streams.get(number):
            stream.end(Moved(sent, received, cut))

    def _keep(self, stream: DataplaneStream) -> DataplaneStream:
        self._streams[stream.number] = stream
        stream.ended.add_done_callback(lambda ended: self._forget(stream, ended.result()))
        return stream

    def _forget(self, stream: DataplaneStream, moved: Moved) -> None:
        if self._streams.pop(stream.number, None) and stream.spliced:
            self._over += 1
            self.bytes_in += moved.received
            self.bytes_out += moved.sent
            self.cut += moved.cut != 0
