"""One connection of a local program, read no further than its words to us go.

Invariant: what is looked at stays in the kernel until it is taken, so whoever gets the descriptor gets every byte that
was not for us.
"""

import asyncio
import contextlib
import socket
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

from pulse.waiting import readable

LOOK: Final = 4096
"""Bytes looked at together."""

LINGER: Final = 1.0
"""Seconds that a program which is hung up on has to read why."""

_DRAINED: Final = 64
"""Pieces of what it still sends that are thrown away meanwhile: a reset would take our last words with it."""


@dataclass(eq=False, slots=True)
class LocalClient:
    """The connection; it is ours until it is released or closed."""

    _socket: socket.socket

    def __post_init__(self) -> None:
        self._socket.setblocking(False)
        # Whoever is let through may be on another machine, which may vanish without a word.
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)

    async def look(self) -> bytes:
        """What it sent and was not taken yet, once there is something; nothing if it sends no more. Raises OSError."""
        while True:
            with contextlib.suppress(BlockingIOError):
                return self._socket.recv(LOOK, socket.MSG_PEEK)
            await readable(self._socket)

    def take(self, count: int) -> None:
        """Take so many bytes of what was looked at."""
        while count:
            count -= len(self._socket.recv(count))

    async def say(self, data: bytes) -> None:
        """Send these bytes. Raises OSError."""
        if data:
            await asyncio.get_running_loop().sock_sendall(self._socket, data)

    def release(self) -> socket.socket:
        """The socket, for somebody else to have."""
        return socket.socket(fileno=self._socket.detach())

    async def hang_up(self) -> None:
        """Close it, once it has read what was said or a second has passed."""
        with contextlib.suppress(OSError, TimeoutError):
            self._socket.shutdown(socket.SHUT_WR)
            async with asyncio.timeout(LINGER):
                for _ in range(_DRAINED):
                    if not await asyncio.get_running_loop().sock_recv(self._socket, LOOK):
                        break
        self.close()

    def close(self) -> None:
        """Close it at once."""
        self._socket.close()

    @contextlib.contextmanager
    def watched(self, left: Callable[[], None]) -> Iterator[None]:
        """Meanwhile `left` is called once it hangs up, which nobody sees behind bytes that it sent ahead."""
        loop = asyncio.get_running_loop()

        def readable() -> None:
            loop.remove_reader(self._socket)
            with contextlib.suppress(ConnectionError):
                if self._socket.recv(1, socket.MSG_PEEK):
                    return
            left()

        loop.add_reader(self._socket, readable)
        try:
            yield
        finally:
            loop.remove_reader(self._socket)
