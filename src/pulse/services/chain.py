"""Asks at join lanes which CA keys count, when certificates are refused: who was away while the CA's key was replaced
knows neither the new one, nor anybody who would tell it over a link.

Invariant: what a lane shows is only told to the mesh, which judges it; a lane is asked for nothing else.
"""

import asyncio
import logging
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Final

from pulse.core.facts import ChainShown, Fact
from pulse.core.network.statements import Statements
from pulse.core.trust.join import statements_shown
from pulse.errors import PulseError
from pulse.net.lanes import open_lane
from pulse.net.links import Links

log = logging.getLogger(__name__)

CODES: Final = frozenset({"certificate", "refused"})
"""Of dials that failed because one end did not take the other's certificate."""

FIRST_PAUSE: Final = 5.0
LONGEST_PAUSE: Final = 300.0
"""Seconds between two rounds: at least, and at most while they bring nothing; each is twice the one before."""

LANE_PATIENCE: Final = 10.0

MOST_LANES: Final = 8
"""Lanes asked in one round; the next one goes on after them."""


@dataclass(slots=True)
class ChainService:
    """How this node hears of CA keys that nobody could tell it of."""

    links: Links
    statements: Statements
    tell: Callable[[Fact], None]
    places: Callable[[], Iterable[str]]
    """Where other nodes may be reached, best first: one place of each node, then the others."""
    pause: float = FIRST_PAUSE
    _refused: asyncio.Event = field(default_factory=asyncio.Event, init=False)
    _asked: set[str] = field(default_factory=set, init=False)
    """Of the places there are, those asked since all of them were."""

    def dial_refused(self, code: str) -> None:
        """A dial failed so."""
        if code in CODES:
            self._refused.set()

    async def run(self) -> None:
        """Ask when there is reason to, until cancelled."""
        pause = self.pause
        while True:
            await self._refused.wait()
            pause = self.pause if await self._learnt() else min(2 * pause, LONGEST_PAUSE)
            self._refused.clear()
            await asyncio.sleep(pause)

    async def _learnt(self) -> bool:
        """True if a lane showed what we did not know."""
        before = self.statements.chain
        for place in self._turn():
            try:
                async with asyncio.timeout(LANE_PATIENCE):
                    lane, _ = await open_lane(self.links, place, pinned=True)
                self.tell(ChainShown(tuple(statements_shown(lane.objects))))
            except (PulseError, OSError, TimeoutError) as error:
                log.debug("join lane told nothing of CA keys", extra={"address": place, "error": str(error)})
            if self.statements.chain != before:
                return True
        return False

    def _turn(self) -> list[str]:
        """The places of this round: those not asked yet come before any is asked again."""
        places = [*dict.fromkeys(self.places())]
        self._asked.intersection_update(places)
        left = [each for each in places if each not in self._asked]
        if not left:
            self._asked.clear()
        found = (left or places)[:MOST_LANES]
        self._asked.update(found)
        return found
