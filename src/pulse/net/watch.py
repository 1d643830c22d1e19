"""Hears from the kernel that an interface, an address, a route, a rule, a firewall or forwarding of this host changed.

Invariant: a change is never missed, though many at once are told as one: what is full or broken counts as a change.
Layouts: rtnetlink(7), linux/netfilter/nfnetlink.h.
"""

import asyncio
import logging
import socket
from collections.abc import AsyncGenerator, Callable
from types import TracebackType
from typing import Final, Self

from pulse.core.bucket import Bucket
from pulse.net.netlink import table_of
from pulse.net.nlattr import HEADER, attributes_in

log = logging.getLogger(__name__)

_GROUPS: Final = 0x1 | 0x10 | 0x40 | 0x100 | 0x400
"""RTMGRP_LINK, _IPV4_IFADDR, _IPV4_ROUTE, _IPV6_IFADDR, _IPV6_ROUTE of linux/rtnetlink.h."""

_ROUTING_GROUPS: Final = 0x40 | 0x80 | 0x400 | 0x40000
"""RTMGRP_IPV4_ROUTE, RTMGRP_IPV4_RULE, RTMGRP_IPV6_ROUTE, and RTNLGRP_IPV6_RULE as a bit."""

_FORWARDING_GROUPS: Final = 0x800000 | 0x1000000
"""RTNLGRP_IPV4_NETCONF and _IPV6_NETCONF as bits."""

_NETFILTER: Final = 12
_FIREWALL_GROUP: Final = 0x40
"""NFNLGRP_NFTABLES as a bit."""

_ROUTE_KINDS: Final = (24, 25)
"""RTM_NEWROUTE and RTM_DELROUTE."""

SETTLING: Final = 0.2
"""Seconds that changes in one go may take: an interface that comes up is a dozen of them."""

_BUFFER: Final = 1 << 16

PAUSE: Final = 0.02
"""Seconds without a look after routes of other tables only: where these come by the thousand that costs little."""

RATE, BURST = 10.0, 20
"""Changes of others that are told, a second and at once: one who never rests takes no more of our time."""

AGAIN = 2.0
"""Seconds before one who may not listen, for want of a descriptor or of memory, tries again."""


class Watch:
    """A socket that hears of some groups, in the namespace in which it was opened."""

    def __init__(self, groups: int, protocol: int = socket.NETLINK_ROUTE) -> None:
        self._socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, protocol)
        self._socket.setblocking(False)
        try:
            self._socket.bind((0, groups))
        except OSError:
            self._socket.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._socket.close()

    async def wait_changed(self) -> None:
        """Wait for a change, and take what else was told by then."""
        await self._hear()
        while self._take() != b"":
            pass

    async def _hear(self) -> bytes | None:
        """What the kernel says next; None for more than it kept for us (ENOBUFS)."""
        try:
            return await asyncio.get_running_loop().sock_recv(self._socket, _BUFFER)
        except OSError:
            return None

    def _take(self) -> bytes | None:
        """The same of what it said already; empty for nothing."""
        try:
            return self._socket.recv(_BUFFER)
        except BlockingIOError:
            return b""
        except OSError:
            return None


class NetworkWatch(Watch):
    """The host's network configuration, watched in the namespace this was opened in."""

    def __init__(self) -> None:
        super().__init__(_GROUPS)

    async def wait_changed(self) -> None:
        """Wait for a change, and until those that belong to it have passed."""
        await self._hear()
        await asyncio.sleep(SETTLING)
        while self._take() != b"":
            pass


class RoutingWatch(Watch):
    """Routes of one table, and all rules, watched in the namespace this was opened in."""

    def __init__(self, table: int) -> None:
        super().__init__(_ROUTING_GROUPS)
        self._table = table

    async def wait_changed(self) -> None:
        """Wait for a change by which packets may go otherwise."""
        concerned = False
        while not concerned:
            heard = await self._hear()
            while heard != b"":
                concerned = heard is None or concerned or self._concerns(heard)
                heard = self._take()
            if not concerned:
                await asyncio.sleep(PAUSE)

    def _concerns(self, heard: bytes) -> bool:
        length, kind, *_ = HEADER.unpack_from(heard)
        if kind not in _ROUTE_KINDS:
            return True
        body = heard[HEADER.size : length]
        return table_of(body, attributes_in(body, 12)) == self._table


class ForwardingWatch(Watch):
    """Whether the kernel forwards, and what else is set for all interfaces or for one."""

    def __init__(self) -> None:
        super().__init__(_FORWARDING_GROUPS)


class FirewallWatch(Watch):
    """Tables of nftables, whoever makes them; it takes CAP_NET_ADMIN."""

    def __init__(self) -> None:
        """Raises PermissionError."""
        super().__init__(_FIREWALL_GROUP, _NETFILTER)


async def changes(listen: Callable[[], Watch]) -> AsyncGenerator[None]:
    """Each change, at a bounded pace, without end; the first at once, for it may have been before anybody listened.

    While nobody can listen it is only told now and then that there may have been one.
    """
    now = asyncio.get_running_loop().time
    pace = Bucket(RATE, BURST, now())
    while True:
        try:
            with listen() as watch:
                while True:
                    yield
                    pace.spend(1, now())
                    await asyncio.sleep(pace.ready_at(1, now()) - now())
                    await watch.wait_changed()
        except OSError as error:
            log.debug("the kernel tells nothing", extra={"error": str(error)})
            yield
            await asyncio.sleep(AGAIN)
