"""Streams of ours: to destinations behind other nodes, for whatever program or person wants one.

Invariant: the rules are asked before anything is sent, and nobody waits for an answer that cannot come: neither longer
than `OPEN_WITHIN`, nor once no path leads to the node.
"""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from itertools import count
from typing import Final

from pulse.core.network import streamcodes
from pulse.core.network.destinations import Destination, address_of
from pulse.core.network.streamcodes import StreamCode, StreamKind
from pulse.core.types import NodeId
from pulse.errors import StreamFailed
from pulse.net.links import Moved, Stream, Streams
from pulse.services.streams.paths import Paths
from pulse.services.streams.register import Flow, Register

OPEN_WITHIN: Final = 15.0
"""Seconds for all of it: a path (3), the 10 that a node takes to dial at most, and the way there and back."""

ASKED_AT_ONCE: Final = 128
"""Streams that one node is asked for at a time; the rest wait. A session holds 256 that are not answered."""

PAUSE: Final = 0.05
"""Seconds before a node that had no room is asked again, and as many more each time; its count is older than ours."""

MOST_PAUSE: Final = 1.0

_NO_ROOM: Final = (StreamCode.BUSY, StreamCode.CROWDED)


@dataclass(eq=False, frozen=True, slots=True)
class Opened:
    """A stream that leads to its destination: hand it a socket, or cancel it, within 30 s."""

    stream: Stream

    def splice(self, sock: socket.socket) -> None:
        """Move what the socket, which is taken over, has to say and to hear; the data plane does."""
        self.stream.splice(sock.detach())

    async def closed(self) -> Moved:
        """Wait until it is over: bytes from the socket to the far end, and back; and what cut it, if anything did."""
        return await asyncio.shield(self.stream.ended)

    def cancel(self) -> None:
        """End it at once."""
        self.stream.cancel()


@dataclass(slots=True)
class Opening:
    """Opens streams."""

    register: Register
    streams: Streams
    paths: Paths
    _turns: dict[NodeId, asyncio.Semaphore] = field(default_factory=dict, init=False)
    """Whose turn it is to be asked for a stream; kept while somebody waits."""
    _asking: dict[NodeId, int] = field(default_factory=dict, init=False)

    async def open(self, node: NodeId, destination: Destination, kind: StreamKind) -> Opened:
        """A stream to a destination as the node sees it; returns once the far side is connected. Raises StreamFailed.

        Cancelled, it gives the stream up.
        """
        # Behind which address a name is an exit alone finds out.
        beyond = address_of(destination.host) if kind is StreamKind.EXIT else None
        flow = Flow(self.register.me, node, destination.port, beyond)
        found = self._refusal_here(flow) or await self._asked(flow, streamcodes.header(kind, destination), kind)
        self.register.tally(flow, opened=not isinstance(found, StreamCode))
        if isinstance(found, StreamCode):
            raise self._failed(found, node, destination)
        return found

    def check(self, node: NodeId, destination: Destination) -> None:
        """Raise StreamFailed if this node would not even try."""
        code = self._refusal_here(Flow(self.register.me, node, destination.port))
        if code is not None:
            raise self._failed(code, node, destination)

    def cut(self, moved: Moved, node: NodeId, destination: Destination) -> StreamFailed:
        """What cut a stream, for people."""
        return streamcodes.cut(streamcodes.code_of(moved.cut), self.register.mesh.members.named(node), destination)

    # Details

    def _refusal_here(self, flow: Flow) -> StreamCode | None:
        if flow.destination == flow.source:
            return StreamCode.FORBIDDEN
        return None if self.register.may(flow) else StreamCode.NOT_ALLOWED

    async def _asked(self, flow: Flow, header: bytes, kind: StreamKind) -> Opened | StreamCode:
        """What comes of asking the node for it."""
        end = asyncio.get_running_loop().time() + OPEN_WITHIN
        if not await self.paths.wait(flow.destination):
            return StreamCode.AWAY
        # Ports that a node listens on for us are few, and had for long.
        return await self._insisted(flow, header, end, waits=kind is not StreamKind.LISTEN)

    async def _insisted(self, flow: Flow, header: bytes, end: float, *, waits: bool) -> Opened | StreamCode:
        """The answer, for which the node is asked again, up to the time `end`, while one of the two has no room."""
        late = StreamCode.SILENT
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout_at(end), self._turn(flow.destination):
                for times in count(1):
                    if self.register.is_full(flow.destination):
                        late = StreamCode.BUSY
                        await self.register.wait_room(flow.destination)
                    found = self._refusal_here(flow) or await self._answered(flow, header)
                    if not waits or found not in _NO_ROOM:
                        return found
                    late = StreamCode.BUSY
                    await asyncio.sleep(min(MOST_PAUSE, times * PAUSE))
        return late

    async def _answered(self, flow: Flow, header: bytes) -> Opened | StreamCode:
        stream = self.streams.open(flow.destination, header)
        self.register.take(stream)
        self.register.keep(stream, flow)
        losing = asyncio.ensure_future(self.paths.wait_lost(flow.destination))
        losing.add_done_callback(lambda lost: None if lost.cancelled() else stream.cancel())
        try:
            code = streamcodes.code_of(await stream.answered())
        except asyncio.CancelledError:
            stream.cancel()
            raise
        finally:
            losing.cancel()
        if not self.register.may(flow):
            # The rules turned while it was opened, and may have cut it already.
            stream.cancel()
            return StreamCode.NOT_ALLOWED
        if code is StreamCode.OK:
            return Opened(stream)
        return StreamCode.AWAY if losing.done() and not losing.cancelled() else code

    @contextlib.asynccontextmanager
    async def _turn(self, node: NodeId) -> AsyncIterator[None]:
        turns = self._turns.setdefault(node, asyncio.Semaphore(ASKED_AT_ONCE))
        self._asking[node] = self._asking.get(node, 0) + 1
        try:
            async with turns:
                yield
        finally:
            self._asking[node] -= 1
            if not self._asking[node]:
                del self._asking[node], self._turns[node]

    def _failed(self, code: StreamCode, node: NodeId, destination: Destination) -> StreamFailed:
        mesh, me = self.register.mesh, self.register.me
        if code is StreamCode.NOT_ALLOWED and not mesh.statements.in_force:
            text = "nothing may pass yet: this node waits for the network config. See: pulse status"
            return StreamFailed(text, code, code.word, streamcodes.exit_code(code))
        if node == me:
            text = f"{mesh.members.named(me)} is this node itself: {destination} can be reached without pulse"
            return StreamFailed(text, code, code.word, streamcodes.exit_code(code))
        return streamcodes.failed(code, mesh.members.label_of(me), mesh.members.named(node), destination)
