"""Reads what changes by itself and tells the mesh: the figures of links each second, the wall clock each minute."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

from pulse import clock
from pulse.core.facts import ClockRead, Fact, LinksSampled
from pulse.net.links import Links

PERIOD = 1.0
"""Seconds between readings; the data plane probes at least this often."""

CLOCK_EVERY = 60
"""Readings of the figures for one of the clock: certificates end to the minute."""


@dataclass(frozen=True, slots=True)
class ProbeService:
    """The bridge from the data plane's counters to `core/paths/probe.py`."""

    links: Links
    tell: Callable[[Fact], None]

    async def run(self) -> None:
        """Read and tell, until cancelled."""
        while True:
            self.tell(ClockRead(clock.wall()))
            for _ in range(CLOCK_EVERY):
                await asyncio.sleep(PERIOD)
                if samples := self.links.sample():
                    self.tell(LinksSampled(samples))
