"""Reads the figures of the links each second and tells them to the mesh."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

from pulse.core.facts import Fact, LinksSampled
from pulse.net.links import Links

PERIOD = 1.0
"""Seconds between readings; the data plane probes at least this often."""


@dataclass(frozen=True, slots=True)
class ProbeService:
    """The bridge from the data plane's counters to `core/paths/probe.py`."""

    links: Links
    tell: Callable[[Fact], None]

    async def run(self) -> None:
        """Read and tell, until cancelled."""
        while True:
            await asyncio.sleep(PERIOD)
            if samples := self.links.sample():
                self.tell(LinksSampled(samples))
