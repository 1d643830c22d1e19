"""Hears from the kernel that an interface, an address or a route of this host changed.

Invariant: a change is never missed, though many at once are told as one: what is full or broken counts as a change.
"""

import asyncio
import socket
from types import TracebackType
from typing import Final, Self

_GROUPS: Final = 0x1 | 0x10 | 0x40 | 0x100 | 0x400
"""RTMGRP_LINK, _IPV4_IFADDR, _IPV4_ROUTE, _IPV6_IFADDR, _IPV6_ROUTE of linux/rtnetlink.h."""

SETTLING: Final = 0.2
"""Seconds that changes in one go may take: an interface that comes up is a dozen of them."""

_BUFFER: Final = 1 << 16


class NetworkWatch:
    """The host's network configuration, watched in the namespace this was opened in."""

    def __init__(self) -> None:
        self._socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, socket.NETLINK_ROUTE)
        self._socket.setblocking(False)
        self._socket.bind((0, _GROUPS))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._socket.close()

    async def wait_changed(self) -> None:
        """Wait for a change, and until those that belong to it have passed."""
        await self._hear()
        await asyncio.sleep(SETTLING)
        while self._take():
            pass

    async def _hear(self) -> None:
        try:
            await asyncio.get_running_loop().sock_recv(self._socket, _BUFFER)
        except OSError:
            # ENOBUFS: more happened than the kernel kept for us.
            return

    def _take(self) -> bool:
        try:
            return bool(self._socket.recv(_BUFFER))
        except BlockingIOError:
            return False
        except OSError:
            return True
