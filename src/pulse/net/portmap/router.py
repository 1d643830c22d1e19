"""The router as one thing, whichever of the three protocols it speaks.

All are looked for at one time; the first of PCP, NAT-PMP and UPnP that is spoken and grants the port is used, and goes
first the next time. Invariant: no more than one of them has a mapping of ours.
"""

import asyncio
import socket
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import replace
from ipaddress import IPv4Address
from typing import TYPE_CHECKING, Protocol

from pulse.core.paths.portmap import Gateway, Grant, Mapper, PortRefused
from pulse.errors import LinkError, ProtocolError
from pulse.net.portmap.natpmp import NatPmp
from pulse.net.portmap.pcp import Pcp
from pulse.net.portmap.upnp import Upnp

if TYPE_CHECKING:
    from random import Random

Failure = LinkError | ProtocolError | PortRefused
_FAILURES = (LinkError, ProtocolError, PortRefused)
"""The later one tells a person more."""


class Client(Protocol):
    """One of the protocols. Everything raises LinkError, ProtocolError or PortRefused."""

    async def find(self, gateway: Gateway) -> None:
        """Return if it is spoken there."""
        ...

    async def map(self, gateway: Gateway, protocol: int, wish: int) -> Grant:
        """Map our port for an IP protocol, at the outer port `wish` if that is free."""
        ...

    async def look(self, gateway: Gateway) -> tuple[float | None, IPv4Address | None]:
        """Ask for the router's age in seconds, and its outer address; None for what it does not say."""
        ...

    async def unmap(self, gateway: Gateway, protocol: int, port: int) -> None:
        """End the mapping of our port, at that outer port."""
        ...


class Router:
    """Asks routers for our `port`, and for TCP at the same one if `tcp` says so."""

    def __init__(self, port: int, tcp: Callable[[], bool], secret: Callable[[bytes], bytes], random: "Random") -> None:
        self._port, self._tcp = port, tcp
        self._clients: dict[Mapper, Client] = {
            Mapper.PCP: Pcp(port, secret),
            Mapper.NAT_PMP: NatPmp(port),
            Mapper.UPNP: Upnp(port, random),
        }

    async def ask(self, gateway: Gateway, before: Grant | None) -> Grant:
        """Ask for a port, as `before` if there is one. Raises LinkError, ProtocolError or PortRefused."""
        if before is not None:
            try:
                return await self._map(gateway, before.mapper, before.port)
            except _FAILURES:
                # It may have become another router, or be set up in another way.
                pass
        return await self._race(gateway, before.port if before else self._port)

    async def look(self, gateway: Gateway, grant: Grant) -> tuple[float | None, IPv4Address | None]:
        """Ask for the router's age in seconds, and its outer address. Raises as `ask` does."""
        return await self._clients[grant.mapper].look(gateway)

    async def give_back(self, gateway: Gateway, grant: Grant) -> None:
        """End a grant as far as the router does that; what is left ends with its lease."""
        protocols = (socket.IPPROTO_UDP, socket.IPPROTO_TCP) if grant.tcp else (socket.IPPROTO_UDP,)
        for protocol in protocols:
            with suppress(*_FAILURES):
                await self._clients[grant.mapper].unmap(gateway, protocol, grant.port)

    async def _race(self, gateway: Gateway, wish: int) -> Grant:
        async with asyncio.TaskGroup() as tasks:
            found = {name: tasks.create_task(_failure(each.find(gateway))) for name, each in self._clients.items()}
            outcome = await self._first(gateway, wish, found)
            for finding in found.values():
                finding.cancel()
        if isinstance(outcome, Grant):
            return outcome
        raise outcome

    async def _first(
        self, gateway: Gateway, wish: int, found: Mapping[Mapper, Awaitable[Failure | None]]
    ) -> Grant | Failure:
        """What the first protocol grants that is spoken, or why none does: the failure that tells most."""
        failures: list[Failure] = []
        for mapper, finding in found.items():
            failure = await finding
            if failure is None:
                try:
                    return await self._map(gateway, mapper, wish)
                except _FAILURES as error:
                    failure = error
            failures.append(failure)
        return max(failures, key=lambda each: [isinstance(each, kind) for kind in reversed(_FAILURES)])

    async def _map(self, gateway: Gateway, mapper: Mapper, wish: int) -> Grant:
        client = self._clients[mapper]
        grant = await client.map(gateway, socket.IPPROTO_UDP, wish)
        if not self._tcp():
            return grant
        try:
            tcp = await client.map(gateway, socket.IPPROTO_TCP, grant.port)
            if tcp.port == grant.port:
                return replace(grant, tcp=True)
            # Others know us by one number: TCP at another one is of no use.
            await client.unmap(gateway, socket.IPPROTO_TCP, tcp.port)
        except _FAILURES:
            pass
        return grant


async def _failure(finding: Awaitable[None]) -> Failure | None:
    try:
        await finding
    except _FAILURES as error:
        return error
    return None
