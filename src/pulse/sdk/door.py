"""The node's door for programs (`tunnel.sock`), for an event loop: one line there, lines back, then bytes.

Invariant: no byte behind the lines is taken here, and whatever ends a wait closes the connection it was for.
"""

import asyncio
import contextlib
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Final

from pulse import tunnels
from pulse.core.network import tunnelline
from pulse.core.network.tunnelline import Answered, Asked
from pulse.errors import LinkError

LOOK: Final = tunnelline.LIMIT


async def asked(door: Path, wanted: Asked) -> tuple[socket.socket, Answered]:
    """A connection on which the node has answered, not blocking. Raises PulseError."""
    made = tunnels.connected_at(door, blocking=False)
    try:
        async with asyncio.timeout(tunnels.PATIENCE):
            with contextlib.suppress(OSError):
                # A node that refuses at once may have hung up already: its answer says why.
                await asyncio.get_running_loop().sock_sendall(made, tunnelline.line_of(wanted))
            said = await line(made)
            if not said:
                raise LinkError(f"the node at {door} hung up without a word: it is gone, or stops. See: pulse status")
            answer = tunnelline.read_answer(said)
    except TimeoutError as error:
        made.close()
        raise LinkError("the node here gave no answer. See: pulse status") from error
    except BaseException:
        made.close()
        raise
    return made, answer


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


async def readable(connection: socket.socket) -> None:
    """Wait until there is something to read, or the end of it."""
    loop = asyncio.get_running_loop()
    ready: asyncio.Future[None] = loop.create_future()
    loop.add_reader(connection, _done, ready)
    try:
        await ready
    finally:
        loop.remove_reader(connection)


def _done(ready: asyncio.Future[None]) -> None:
    if not ready.done():
        ready.set_result(None)


class _Protocol(asyncio.StreamReaderProtocol):
    """A stream that tells its end."""

    def __init__(self, reader: asyncio.StreamReader, lost: Callable[[], object]) -> None:
        super().__init__(reader, loop=asyncio.get_running_loop())
        self._lost = lost

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self._lost()


async def streams(
    connection: socket.socket, lost: Callable[[], object] = lambda: None
) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """A connected socket, which is taken over, as asyncio has connections; `lost` is called once it is closed."""
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader(loop=loop)
    protocol = _Protocol(reader, lost)
    try:
        transport, _ = await loop.create_connection(lambda: protocol, sock=connection)
    except BaseException:
        connection.close()
        raise
    return reader, asyncio.StreamWriter(transport, protocol, reader, loop)
