"""Tells the mesh where this machine can be reached, at start and whenever its network changes.

Invariant: every change of the network is told, also one that leaves the addresses as they were: a way that failed may
lead somewhere now.
"""

import asyncio
import logging
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from pulse.core.addresses import is_ip, join
from pulse.core.facts import AddressesChanged, Fact
from pulse.errors import SystemRefused
from pulse.net.addresses import resolve
from pulse.net.interfaces import host_addresses
from pulse.net.watch import NetworkWatch

log = logging.getLogger(__name__)

PAUSE = 1.0
"""Seconds between two tellings at least: each one makes us dial whoever is not linked, and some networks never rest."""


@dataclass(frozen=True, slots=True)
class RoamingService:
    """The bridge from the kernel's network configuration to the candidates of our node record."""

    host: str
    """Where a person said this node is reached; empty: at the addresses of its interfaces."""
    port: int
    own_devices: Callable[[], Iterable[str]]
    """The mesh's own interfaces, through which nobody reaches us from outside."""
    tell: Callable[[Fact], None]

    async def run(self) -> None:
        """Watch and tell, until cancelled."""
        with NetworkWatch() as watch:
            while True:
                self.tell(AddressesChanged(tuple(dict.fromkeys([*await self._advertised(), *self._local()]))))
                await asyncio.sleep(PAUSE)
                await watch.wait_changed()

    def _local(self) -> list[str]:
        try:
            return [join(str(each), self.port) for each in host_addresses(self.own_devices())]
        except SystemRefused as error:
            log.warning("addresses of this machine unknown", extra={"error": str(error)})
            return []

    async def _advertised(self) -> list[str]:
        """The configured host by number: others need no resolver, and none of theirs can mislead them."""
        if not self.host:
            return []
        if is_ip(self.host):
            return [join(self.host, self.port)]
        try:
            return await resolve(join(self.host, self.port))
        except OSError as error:
            log.warning("our own address does not resolve", extra={"error": str(error)})
            return []
