"""What a router says to all hosts of its network when it restarted or has another outer address.

Sources: RFC 6886 §3.2.1, RFC 6887 §14.1. Invariant: only that it spoke counts, not what it said, and only so often.
"""

import asyncio
import socket
from types import TracebackType
from typing import Final, Self

from pulse.core.paths.portmap import Gateway

PORT: Final = 5350
GROUP: Final = "224.0.0.1"
"""All hosts of a network: no router passes it on, and every interface hears it."""

REPEATED: Final = 1.0
"""Seconds in which an announcement and what follows it are one: a flood costs no more than a wake-up each."""


class Announcements:
    """A socket at the port of announcements, on the cable to the gateway; others may have one there too."""

    def __init__(self, gateway: Gateway) -> None:
        """Raises OSError."""
        self._from = str(gateway.address)
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)
        try:
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, gateway.interface.encode() + b"\0")
            # At the group's own address nothing comes that was sent to us alone.
            self._socket.bind((GROUP, PORT))
        except OSError:
            self._socket.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._socket.close()

    async def wait(self) -> None:
        """Wait for the next announcement of the gateway. Raises OSError."""
        while True:
            _, (host, *_rest) = await asyncio.get_running_loop().sock_recvfrom(self._socket, 1)
            if host == self._from:
                return
            await asyncio.sleep(REPEATED)
