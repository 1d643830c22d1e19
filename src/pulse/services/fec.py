"""Reads what gets lost on each path and has the data plane send parity accordingly."""

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from pulse.core.effects import Hop
from pulse.core.paths.fec import Fec, Loss
from pulse.core.paths.figures import PathSample
from pulse.core.types import SHORT_ID, NodeId
from pulse.net.links import Links

log = logging.getLogger(__name__)

PERIOD = 1.0
"""Seconds between readings: peers report as often."""


@dataclass(frozen=True, slots=True)
class FecService:
    """The bridge between the losses that are measured and the parity that is sent."""

    links: Links
    routes: Callable[[], Mapping[NodeId, Sequence[Hop]]]
    """The ways to every node."""
    fec: Fec = field(default_factory=Fec)

    @classmethod
    def offered(cls, links: Links, routes: Callable[[], Mapping[NodeId, Sequence[Hop]]]) -> "FecService":
        """Offer parity before the first session begins: each agrees on it once."""
        links.set_fec(())
        return cls(links, routes)

    async def run(self) -> None:
        """Read and set, until cancelled."""
        while True:
            await asyncio.sleep(PERIOD)
            self._look(asyncio.get_running_loop().time())

    def _look(self, now: float) -> None:
        routes = self.routes()
        losses = [_loss(sample, routes) for sample in self.links.paths()]
        table = self.fec.sampled(losses, now)
        if table is None:
            return
        self.links.set_fec(table)
        for node, _, parity, duplicate in table:
            log.debug("path protected", extra={"node": node[:SHORT_ID], "parity": parity, "duplicate": duplicate})


def _loss(sample: PathSample, routes: Mapping[NodeId, Sequence[Hop]]) -> Loss:
    return Loss(
        sample.node, sample.link, sample.reported, sample.burst, has_second=len(routes.get(sample.node, ())) > 1
    )
