"""Tells the mesh where this machine can be reached, that it is on another network, and that it slept.

Invariant: every change of the network is told, also one that leaves the addresses as they were: a way that failed may
lead somewhere now.
"""

import asyncio
import logging
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from pulse.core.addresses import is_ip, join
from pulse.core.bucket import Bucket
from pulse.core.facts import AddressesChanged, Fact, SourcesChanged, Woke
from pulse.core.types import LinkId
from pulse.errors import SystemRefused
from pulse.net.addresses import resolve
from pulse.net.interfaces import host_addresses
from pulse.net.links import Links
from pulse.net.sleep import SleepWatch
from pulse.net.sockets import is_ours
from pulse.net.watch import NetworkWatch

log = logging.getLogger(__name__)

RATE = 1.0
BURST = 4
"""Changes told a second, and how many at once: each makes us dial whoever is not linked, and some networks never rest.
A machine that is carried elsewhere is a few of them."""


@dataclass(slots=True)
class RoamingService:
    """The bridge from the kernel's network configuration to the candidates of our node record, and to our links."""

    links: Links
    bound_to: str
    """The address that the UDP socket was asked to have; empty: all of them."""
    host: str
    """Where a person said this node is reached; empty: at the addresses of its interfaces."""
    port: int
    own_devices: Callable[[], Iterable[str]]
    """The mesh's own interfaces, through which nobody reaches us from outside."""
    tell: Callable[[Fact], None]
    sleep: SleepWatch = field(default_factory=SleepWatch)
    _bound_to: str = field(init=False)
    """What the socket has now."""

    def __post_init__(self) -> None:
        self._bound_to = self.bound_to

    async def run(self) -> None:
        """Watch and tell, until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._follow_network())
            tasks.create_task(self._follow_sleep())

    async def _follow_network(self) -> None:
        pace = Bucket(RATE, BURST, _now())
        with NetworkWatch() as watch:
            while True:
                # Before anything that may have to wait for the new network.
                if moved := self._moved():
                    self.tell(SourcesChanged(moved))
                self.tell(AddressesChanged(tuple(dict.fromkeys([*await self._advertised(), *self._local()]))))
                pace.spend(1, _now())
                await asyncio.sleep(pace.ready_at(1, _now()) - _now())
                await watch.wait_changed()

    async def _follow_sleep(self) -> None:
        while True:
            self.tell(Woke(await self.sleep.wait_woken()))

    def _moved(self) -> tuple[LinkId, ...]:
        """The links that do not leave from where they did."""
        if self._rebound():
            return tuple(sample.link for sample in self.links.sample())
        return self.links.moved()

    def _rebound(self) -> bool:
        """True if the socket is another by now: one whose address is gone neither sends nor hears, so until that is
        back all addresses serve."""
        if not self.bound_to:
            return False
        to = self.bound_to if is_ours(self.bound_to) else ""
        if to == self._bound_to:
            return False
        try:
            self.links.rebind(to)
        except SystemRefused as error:
            log.warning("not listening any more", extra={"error": str(error)})
            return False
        self._bound_to = to
        log.warning("listening elsewhere", extra={"listen": join(to or "*", self.port)})
        return True

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


def _now() -> float:
    return asyncio.get_running_loop().time()
