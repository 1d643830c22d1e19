"""Ports of this node that lead to a program: connections arrive as sockets, each with the word of who made it.

Invariant: the port is given back when it is closed, or its program ends in whatever way; nobody is taken for who called
before him.
"""

import asyncio
import contextlib
import socket
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path
from typing import Final, Self

from pulse.core.network import tunnelline
from pulse.core.network.tunnelline import Asked, Called
from pulse.errors import LinkError
from pulse.sdk import door

Caller = Called
"""Who made a connection: `node` is the id that its session proved, `name` what people call it, and `named` says whether
that name was given to it."""

Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter, Caller], Awaitable[None]]
"""Has one connection, which is closed when it returns."""


Accept = Callable[[socket.socket, socket.socket | None, Caller], None]
"""Has one connection, and that on which the node says how it ended; both are taken over."""

LINGER: Final = 1.0
"""Seconds at the end for what was written and not sent yet, and for handlers to end."""


class Port:
    """A port of this node; `accept` has every connection to it."""

    def __init__(self, connection: socket.socket, port: int, accept: Accept) -> None:
        """Take over a connection on which the node has said that the port leads here."""
        self.port = port
        """Its number."""
        self._connection, self._accept = connection, accept
        self._gone: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        asyncio.get_running_loop().add_reader(connection, self._read)

    async def wait_gone(self) -> None:
        """Return once the port is closed. Raises LinkError once the node here is gone, and the port with it."""
        await asyncio.shield(self._gone)

    def close(self) -> None:
        """Give the port back."""
        self._end(None)

    def _read(self) -> None:
        """The next caller: the kernel hands over one message at a time, a line and the socket it came with."""
        try:
            said, descriptors, _, _ = socket.recv_fds(self._connection, door.LOOK, 2, socket.MSG_CMSG_CLOEXEC)
        except BlockingIOError:
            return
        except OSError:
            said, descriptors = b"", []
        if not said:
            text = (
                f"the node here is gone, and port {self.port} with it.\nStart it, and this program again: pulse start"
            )
            self._end(LinkError(text))
        # Without a socket this program may have no more of them: the kernel dropped it, and the caller is hung up on.
        if descriptors:
            connection, *told = [socket.socket(fileno=each) for each in descriptors]
            self._accept(connection, told[0] if told else None, tunnelline.read_call(said))

    def _end(self, error: LinkError | None) -> None:
        if self._gone.done():
            return
        asyncio.get_running_loop().remove_reader(self._connection)
        # A child that was forked meanwhile has it open, too, and would keep the port.
        with contextlib.suppress(OSError):
            self._connection.shutdown(socket.SHUT_RDWR)
        self._connection.close()
        if error is None:
            self._gone.set_result(None)
        else:
            self._gone.set_exception(error)
            # It is for who waits; nobody has to.
            self._gone.exception()


async def open_port(place: Path, port: int, accept: Accept) -> Port:
    """A port of the node whose door is at `place`, any free one for 0. Raises Refused or Conflict."""
    connection, answer = await door.asked(place, Asked("", "", serve=port))
    return Port(connection, answer.port, accept)


class Server:
    """A port of this node with a handler for its connections; made by `Mesh.start_server`, closed with `async with`."""

    def __init__(self, handler: Handler) -> None:
        """Not serving yet."""
        self._handler = handler
        self._serving: dict[asyncio.Task[None], socket.socket] = {}
        """Handlers and their connections."""
        self._fresh: dict[socket.socket, socket.socket | None] = {}
        """Connections whose handler has not begun, each with that on which the node says how it ended."""
        self._writers: dict[socket.socket, asyncio.StreamWriter] = {}
        """Of connections that are open."""
        self._port: Port | None = None

    @property
    def port(self) -> int:
        """The number of the port; 0 before there is one."""
        return self._port.port if self._port else 0

    async def open(self, place: Path, port: int) -> Self:
        """Begin to serve."""
        self._port = await open_port(place, port, self._take_in)
        return self

    async def serve_forever(self) -> None:
        """Serve until cancelled or closed. Raises LinkError once the node here is gone."""
        if self._port:
            await self._port.wait_gone()

    def stop(self) -> None:
        """Give the port back and cancel the handlers, without waiting for their end."""
        if self._port:
            self._port.close()
        for each in self._others():
            each.cancel()

    async def close(self) -> None:
        """Give the port back and end the handlers; after a second connections of those that go on are cut."""
        self.stop()
        try:
            if serving := self._others():
                await asyncio.wait(serving, timeout=LINGER)
            for each in self._others():
                text = "the handler of a mesh connection goes on though it was cancelled: its connection is cut"
                each.get_loop().call_exception_handler({"message": text, "task": each})
        finally:
            self.abort()

    def abort(self) -> None:
        """The same at once; what was written and has not left is lost."""
        self.stop()
        for each in self._others():
            if writer := self._writers.get(self._serving[each]):
                writer.transport.abort()

    def _others(self) -> set[asyncio.Task[None]]:
        """Handlers that run, but for the one that asks."""
        return self._serving.keys() - {asyncio.current_task()}

    async def __aenter__(self) -> Self:
        """The server, closed at the end of the block."""
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    def _take_in(self, connection: socket.socket, told: socket.socket | None, caller: Caller) -> None:
        task = asyncio.ensure_future(self._serve(connection, caller))
        self._serving[task], self._fresh[connection] = connection, told
        task.add_done_callback(self._served)

    async def _serve(self, connection: socket.socket, caller: Caller) -> None:
        told = self._fresh.pop(connection)
        reader, writer = await door.streams(connection, told, partial(self._writers.pop, connection, None))
        self._writers[connection] = writer
        try:
            await self._handler(reader, writer, caller)
        finally:
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()

    def _served(self, task: asyncio.Task[None]) -> None:
        connection = self._serving.pop(task)
        if connection in self._fresh:
            # It was cancelled before its first step.
            connection.close()
            if told := self._fresh.pop(connection):
                told.close()
        if task.cancelled() or (error := task.exception()) is None or isinstance(error, ConnectionError):
            return
        context = {"message": "the handler of a mesh connection failed", "exception": error, "task": task}
        asyncio.get_running_loop().call_exception_handler(context)
