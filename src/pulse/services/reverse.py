"""Reverse forwards: a port of another node's loopback that leads back to what this node can reach.

Who wants one opens a stream that stands for the listening port, and each connection to that port comes back as a stream
of its own. Invariant: a node listens for others only if it was told to, on its loopback alone, and for as long as the
first stream lasts; where a connection leads is known at the end that asked, and never said to the other.
"""

import asyncio
import contextlib
import errno
import logging
import socket
import struct
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Final

from pulse.core.mesh import Mesh
from pulse.core.network.destinations import Destination, IPAddress
from pulse.core.network.policy import TCP
from pulse.core.network.streamcodes import StreamCode, StreamKind
from pulse.core.types import SHORT_ID, NodeId
from pulse.errors import PulseError, StreamFailed
from pulse.net.listeners import Arrivals
from pulse.net.opening import Opened, Opens
from pulse.net.sockets import PRIVILEGED

log = logging.getLogger(__name__)

MOST_OF_ONE: Final = 16
"""Ports that one node may have us listen on."""

MOST_CALLERS: Final = 256
"""Connections to one of these ports that are not led back yet; who comes then is hung up on."""

PATIENCE: Final = 10.0
"""Seconds for the destination to answer."""

LOOPBACK: Final = "127.0.0.1"

_RESET: Final = struct.pack("ii", 1, 0)
"""Linger for no time: to close it is a reset, as of a port at which nothing listens."""

_SENTENCES: Final = {
    StreamCode.FORBIDDEN: (
        "does not listen there for others: its owner allows it by [node] reverse_forwards = true, from port 1024 up"
    ),
    StreamCode.BUSY: "cannot listen on that port: it is taken, or as many are open as may be",
}
"""What a refusal means where listening was asked for."""


@dataclass(slots=True)
class ReverseService:
    """Listens for others, and leads back what comes to the ports that others have for us."""

    mesh: Mesh
    streams: Opens
    allowed: bool
    """This node listens for others."""
    resolve: Callable[[str], Awaitable[list[IPAddress]]]
    connect: Callable[[IPAddress, int], Awaitable[socket.socket]]
    _ours: dict[tuple[NodeId, int], Destination] = field(default_factory=dict, init=False)
    """Where the ports lead that other nodes listen on for us."""
    _theirs: set[tuple[NodeId, int]] = field(default_factory=set, init=False)
    """The ports that we listen on for others."""
    _waiting: asyncio.Queue[tuple[socket.socket, socket.socket, NodeId]] = field(
        default_factory=asyncio.Queue, init=False
    )
    """Listening sockets nobody serves yet; bounded by what `_theirs` may hold."""

    async def run(self) -> None:
        """Serve, until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            while True:
                tasks.create_task(self._serve(tasks, *await self._waiting.get()))

    # For a person here

    async def lead(self, node: NodeId, port: int, destination: Destination) -> Opened:
        """Have a node listen on that port, and lead what comes there to the destination; the stream that stands for it.

        Raises StreamFailed.
        """
        place = (node, port)
        if place in self._ours:
            raise _failed(StreamCode.BUSY, f"port {port} of that node leads to {self._ours[place]} already")
        self._ours[place] = destination
        try:
            return await self.streams.open(node, Destination(LOOPBACK, port), StreamKind.LISTEN)
        except BaseException as error:
            del self._ours[place]
            if isinstance(error, StreamFailed) and error.code in _SENTENCES:
                text = f"{self.mesh.members.named(node)} {_SENTENCES[StreamCode(error.code)]}"
                raise StreamFailed(text, error.code, error.word, error.exit_code) from error
            raise

    def forget(self, node: NodeId, port: int) -> None:
        """It is over."""
        self._ours.pop((node, port), None)

    # For other nodes

    async def listen(self, node: NodeId, port: int) -> socket.socket:
        """Listen for a node that may reach that port here; what stands for it. Raises StreamFailed."""
        if not self.allowed:
            raise _failed(StreamCode.FORBIDDEN, "this node listens for nobody ([node] reverse_forwards)")
        if port < PRIVILEGED:
            raise _failed(StreamCode.FORBIDDEN, f"ports below {PRIVILEGED} are root's")
        if not self.mesh.may(self.mesh.me.node_id, node, TCP, port, asyncio.get_running_loop().time()):
            raise _failed(StreamCode.NOT_ALLOWED, "the rules deny the way back")
        if sum(each == node for each, _ in self._theirs) >= MOST_OF_ONE:
            raise _failed(StreamCode.BUSY, f"{MOST_OF_ONE} ports are listened on for it already")
        try:
            listener = socket.create_server((LOOPBACK, port))
        except OSError as error:
            code = StreamCode.BUSY if error.errno == errno.EADDRINUSE else StreamCode.BROKEN
            raise _failed(code, "the port is taken") from error
        listener.setblocking(False)
        held, given = socket.socketpair()
        held.setblocking(False)
        self._theirs.add((node, port))
        self._waiting.put_nowait((listener, held, node))
        return given

    async def back(self, node: NodeId, port: int) -> socket.socket:
        """A connection to where that port of the node leads. Raises StreamFailed."""
        destination = self._ours.get((node, port))
        if destination is None:
            raise _failed(StreamCode.FORBIDDEN, "no port of that node leads here")
        try:
            async with asyncio.timeout(PATIENCE):
                for address in await self.resolve(destination.host):
                    with contextlib.suppress(OSError):
                        return await self.connect(address, destination.port)
        except (OSError, TimeoutError, UnicodeError) as error:
            raise _failed(StreamCode.REFUSED, "the destination does not answer") from error
        raise _failed(StreamCode.REFUSED, "nothing listens at the destination")

    # Details

    async def _serve(
        self, tasks: asyncio.TaskGroup, listener: socket.socket, held: socket.socket, node: NodeId
    ) -> None:
        """Lead back every connection, until the stream that stands for the port ends."""
        port = listener.getsockname()[1]
        log.info("listening for a node", extra={"node": node[:SHORT_ID], "port": port})
        accepting = tasks.create_task(self._accept(tasks, listener, node, port))
        try:
            with listener, held, contextlib.suppress(OSError):
                await asyncio.get_running_loop().sock_recv(held, 1)
        finally:
            accepting.cancel()
            self._theirs.discard((node, port))
        log.info("no longer listening for a node", extra={"node": node[:SHORT_ID], "port": port})

    async def _accept(self, tasks: asyncio.TaskGroup, listener: socket.socket, node: NodeId, port: int) -> None:
        callers: set[asyncio.Task[None]] = set()
        arrivals = Arrivals(listener)
        while True:
            caller = await arrivals.next()
            if len(callers) >= MOST_CALLERS:
                caller.close()
                continue
            leading = tasks.create_task(self._lead_back(caller, node, port))
            callers.add(leading)
            leading.add_done_callback(callers.discard)

    async def _lead_back(self, caller: socket.socket, node: NodeId, port: int) -> None:
        """Whatever becomes of one connection, the port goes on; who made it sees a reset."""
        with caller:
            caller.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
            try:
                opened = await self.streams.open(node, Destination(LOOPBACK, port), StreamKind.BACK)
                opened.splice(caller)
            except (PulseError, OSError) as error:
                log.debug("not led back", extra={"node": node[:SHORT_ID], "error": str(error)})
            except Exception:
                log.exception("not led back", extra={"node": node[:SHORT_ID]})


def _failed(code: StreamCode, why: str) -> StreamFailed:
    return StreamFailed(why, code, code.word)
