"""The node's door for programs (`tunnel.sock`), for an event loop: one line there, lines back, then bytes.

Invariant: no byte behind the lines is taken here, and whatever ends a wait closes the connection it was for.
"""

import asyncio
import contextlib
import errno
import socket
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Final

from pulse import tunnels
from pulse.core.network import tunnelline
from pulse.core.network.tunnelline import Answered, Asked
from pulse.errors import LinkError, StreamFailed
from pulse.waiting import readable

LOOK: Final = tunnelline.LIMIT


async def asked(door: Path, wanted: Asked, handed: socket.socket | None = None) -> tuple[socket.socket, Answered]:
    """A connection on which the node has answered, not blocking; `handed` goes to it. Raises PulseError.

    Where the door is full it is tried again, for as long as an answer may take.
    """
    crowded: StreamFailed | None = None
    waits = tunnels.pauses()
    try:
        async with asyncio.timeout(tunnels.PATIENCE):
            while True:
                try:
                    return await _asked_once(door, wanted, handed)
                except StreamFailed as error:
                    if not tunnels.is_crowded(error):
                        raise
                    crowded = error
                await asyncio.sleep(next(waits))
    except TimeoutError as error:
        raise crowded or LinkError("the node here gave no answer. See: pulse status") from error


async def _asked_once(door: Path, wanted: Asked, handed: socket.socket | None) -> tuple[socket.socket, Answered]:
    made = tunnels.connected_at(door, blocking=False)
    try:
        with contextlib.suppress(OSError):
            # A node that refuses at once may have hung up already: its answer says why. A line is short: a new
            # connection has room for it.
            socket.send_fds(made, [tunnelline.line_of(wanted)], [handed.fileno()] if handed else [])
        said = await line(made)
        if not said:
            raise LinkError(f"the node at {door} hung up without a word: it is gone, or stops. See: pulse status")
        return made, tunnelline.read_answer(said)
    except BaseException:
        made.close()
        raise


async def reached(door: Path, node: str, destination: str) -> tuple[socket.socket, socket.socket]:
    """A socket that leads there, and the connection on which the node says how that ended. Raises PulseError."""
    ours, theirs = tunnels.pair()
    ours.setblocking(False)
    try:
        with theirs:
            asking, _ = await asked(door, Asked(node, destination, lasting=True), theirs)
    except BaseException:
        ours.close()
        raise
    return ours, asking


async def line(connection: socket.socket) -> bytes:
    """The next line, and not a byte more; without its end if the node hung up."""
    said = b""
    while not said.endswith(b"\n") and len(said) < LOOK:
        await readable(connection)
        try:
            seen = connection.recv(LOOK, socket.MSG_PEEK)
            said += connection.recv(seen.find(b"\n") + 1 or len(seen))
        except OSError:
            break
        if not seen:
            break
    return said


class _Protocol(asyncio.StreamReaderProtocol):
    """A stream that tells its end, and whether that is a cut: Unix sockets show both alike, so the node says it."""

    def __init__(
        self,
        reader: asyncio.StreamReader,
        connection: socket.socket,
        asking: socket.socket | None,
        lost: Callable[[], object],
    ) -> None:
        super().__init__(reader, loop=asyncio.get_running_loop())
        self._connection, self._asking, self._lost = connection, asking, lost
        # Held by its user alone, as asyncio wants it: without one the stream is closed.
        self._told = weakref.ref(reader)
        self._judging: asyncio.Future[None] | None = None

    def eof_received(self) -> bool | None:
        # The end of one direction alone is one for sure: nobody cuts that.
        if self._asking is None or not tunnels.is_over(self._connection):
            return super().eof_received()
        self._judging = asyncio.ensure_future(self._judge(self._asking))
        return True

    def connection_lost(self, exc: Exception | None) -> None:
        if isinstance(exc, BrokenPipeError):
            exc = ConnectionResetError(exc.errno, "the stream is over, and takes nothing more")
        super().connection_lost(exc)
        if self._judging:
            self._judging.cancel()
        if self._asking:
            self._asking.close()
        self._lost()

    async def _judge(self, asking: socket.socket) -> None:
        said = await line(asking)
        reader = self._told()
        if reader is None:
            return
        try:
            tunnelline.read_answer(said)
        except StreamFailed as error:
            reader.set_exception(ConnectionResetError(errno.ECONNRESET, str(error)))
        else:
            reader.feed_eof()


async def streams(
    connection: socket.socket, asking: socket.socket | None = None, lost: Callable[[], object] = lambda: None
) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """A connected socket as asyncio has connections; `lost` is called once it is closed.

    On `asking` the node says how it ended. Both sockets are taken over.
    """
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader(loop=loop)
    protocol = _Protocol(reader, connection, asking, lost)
    try:
        transport, _ = await loop.create_connection(lambda: protocol, sock=connection)
    except BaseException:
        connection.close()
        if asking:
            asking.close()
        raise
    return reader, asyncio.StreamWriter(transport, protocol, reader, loop)
