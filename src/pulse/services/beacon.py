"""Carries beacons between the mesh and the LANs of this machine, whichever those are by now.

Invariant: a LAN costs so much reading in a time, whatever is sent there; what is over it the kernel drops.
"""

import asyncio
import logging
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from pulse.core.facts import BeaconHeard, Fact, LansChanged
from pulse.errors import SystemRefused
from pulse.net.beacon import Channel, Lan, lans
from pulse.net.netlink import Netlink
from pulse.net.watch import NetworkWatch

log = logging.getLogger(__name__)

PAUSE = 1.0
"""Seconds between two looks at the network at least: some never rest."""

BATCH = 16
EVERY = 0.1
"""Datagrams read of one LAN at once, and seconds until the next: sixty times what a LAN of 150 members says."""


@dataclass(slots=True)
class BeaconService:
    """The bridge between sockets and the machine that decides."""

    host: Callable[[], str]
    """The address links are taken in at now; empty for all."""
    port: int
    own_devices: Callable[[], Iterable[str]]
    """The mesh's own interfaces: what is behind them is no LAN."""
    tell: Callable[[Fact], None]
    _channels: dict[Lan, Channel | None] = field(default_factory=dict, init=False)
    """By LAN; None where the system refused."""

    async def run(self) -> None:
        """Keep to the LANs there are, until cancelled."""
        try:
            with NetworkWatch() as watch:
                while True:
                    host = self.host()
                    self._keep_up(host)
                    await asyncio.sleep(PAUSE)
                    # The same change may have moved our links to another address meanwhile.
                    if self.host() == host:
                        await watch.wait_changed()
        finally:
            self._leave(list(self._channels))

    def send(self, data: bytes) -> None:
        """Send a beacon to every LAN."""
        for channel in self._channels.values():
            if channel is not None:
                channel.send(data)

    # Details

    def _keep_up(self, host: str) -> None:
        try:
            with Netlink() as kernel:
                there = lans(kernel.addresses(), self.own_devices(), host)
        except SystemRefused as error:
            log.warning("LANs of this machine unknown", extra={"error": str(error)})
            return
        gone, new = self._channels.keys() - {*there}, [lan for lan in there if lan not in self._channels]
        if not gone and not new:
            return
        self._leave(gone)
        for lan in new:
            self._channels[lan] = self._joined(lan)
        self.tell(LansChanged(sum(channel is not None for channel in self._channels.values()), self.port))

    def _joined(self, lan: Lan) -> Channel | None:
        try:
            channel = Channel(lan)
        except OSError as error:
            log.warning("no beacons on a LAN", extra={"device": lan.interface, "error": str(error)})
            return None
        self._listen(channel)
        return channel

    def _leave(self, gone: Iterable[Lan]) -> None:
        for lan in gone:
            if channel := self._channels.pop(lan):
                asyncio.get_running_loop().remove_reader(channel)
                channel.close()

    def _listen(self, channel: Channel) -> None:
        asyncio.get_running_loop().add_reader(channel, self._hear, channel)

    def _listen_again(self, channel: Channel) -> None:
        if self._channels.get(channel.lan) is channel:
            self._listen(channel)

    def _hear(self, channel: Channel) -> None:
        loop = asyncio.get_running_loop()
        loop.remove_reader(channel)
        loop.call_later(EVERY, self._listen_again, channel)
        for data, source in channel.receive(BATCH):
            self.tell(BeaconHeard(data, source, channel.lan.has(source.partition("%")[0])))
