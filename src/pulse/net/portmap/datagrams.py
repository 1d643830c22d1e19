"""One question to the gateway in one datagram, asked again until the answer comes.

Invariant: only the gateway's own datagrams are heard, from the port that was asked, and only on the cable to it.
"""

import asyncio
import socket
from collections.abc import Callable
from contextlib import suppress
from typing import Final, TypeVar

from pulse.core.paths.portmap import Gateway
from pulse.errors import LinkError, ProtocolError

PAUSES: Final = (0.25, 0.5, 1.0)
"""Seconds before the question is asked again, and given up (RFC 6886 §3.1, cut short: a router is near)."""

DATAGRAM_LIMIT: Final = 2048
"""Bytes; PCP allows 1,100."""

MOST_NONSENSE: Final = 16
"""Answers that are none before the gateway is given up: what floods us would hold up everything else."""

_T = TypeVar("_T")


def bound(gateway: Gateway, kind: socket.SocketKind) -> socket.socket:
    """Open a socket at our end of the cable to the gateway, which reaches nobody by another one. Raises OSError."""
    sock = socket.socket(socket.AF_INET, kind | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, gateway.interface.encode() + b"\0")
        sock.bind((str(gateway.source), 0))
    except OSError:
        sock.close()
        raise
    return sock


async def exchange(gateway: Gateway, port: int, question: bytes, read: Callable[[bytes], _T]) -> _T:
    """Ask the gateway at UDP `port` until `read` makes something of an answer.

    What `read` refuses with ProtocolError is no answer; what it refuses else ends the exchange. Raises LinkError if
    nothing came, ProtocolError if only nonsense did.
    """
    nonsense: list[ProtocolError] = []
    try:
        with bound(gateway, socket.SOCK_DGRAM) as sock:
            # Connected, so that the kernel throws away what others send.
            sock.connect((str(gateway.address), port))
            for pause in PAUSES:
                await asyncio.get_running_loop().sock_sendall(sock, question)
                with suppress(TimeoutError):
                    async with asyncio.timeout(pause):
                        return await _hear(sock, read, nonsense)
    except OSError as error:
        raise LinkError(f"the router does not take it: {error.strerror or error}") from error
    raise nonsense[-1] if nonsense else LinkError("no answer from the router")


async def _hear(sock: socket.socket, read: Callable[[bytes], _T], nonsense: list[ProtocolError]) -> _T:
    while True:
        try:
            return read(await asyncio.get_running_loop().sock_recv(sock, DATAGRAM_LIMIT))
        except ProtocolError as error:
            nonsense.append(error)
            if len(nonsense) >= MOST_NONSENSE:
                raise
