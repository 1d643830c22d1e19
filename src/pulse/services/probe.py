"""Reads what changes by itself and tells the mesh: figures of links each second; the clock and traffic each minute."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field

from pulse import clock
from pulse.core.facts import ClockRead, Fact, LinksSampled, PeerWanted
from pulse.core.types import NodeId
from pulse.net.links import Links

PERIOD = 1.0
"""Seconds between readings; the data plane probes at least this often."""

MINUTE = 60
"""Readings of the figures for one of clock and traffic: certificates end to the minute."""


@dataclass(frozen=True, slots=True)
class ProbeService:
    """The bridge from the data plane's counters to the mesh."""

    links: Links
    tell: Callable[[Fact], None]
    _packets: dict[NodeId, int] = field(default_factory=dict)
    """What was exchanged with each node up to the last minute."""

    async def run(self) -> None:
        """Read and tell, until cancelled."""
        while True:
            self.tell(ClockRead(clock.wall()))
            self._tell_traffic()
            for _ in range(MINUTE):
                await asyncio.sleep(PERIOD)
                if samples := self.links.sample():
                    self.tell(LinksSampled(samples))

    def _tell_traffic(self) -> None:
        """The data plane tells traffic after silence; here is told which goes on."""
        before = dict(self._packets)
        self._packets.clear()
        for each in self.links.traffic():
            packets = self._packets[each.node] = each.packets_in + each.packets_out
            if packets > before.get(each.node, 0):
                self.tell(PeerWanted(each.node))
