"""Looks up where a domain says the relays of the mesh are, at start and now and then.

Invariant: a domain that does not answer changes nothing: what it said last stays.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final

from pulse.core.facts import Fact, RelaysPublished

log = logging.getLogger(__name__)

EVERY: Final = 300.0
"""Seconds between two looks: relays move in days."""

ALONE_EVERY: Final = 15.0
"""Seconds while there is no link at all: what was said may lead nowhere."""


@dataclass(slots=True)
class BootstrapService:
    """Tells the mesh the relays of one domain."""

    domain: str
    published: Callable[[str], Awaitable[tuple[str, ...]]]
    """Looks a domain up. Raises OSError."""
    is_alone: Callable[[], bool]
    """True while there is no link."""
    tell: Callable[[Fact], None]
    _failed: bool = False

    async def run(self) -> None:
        """Look, until cancelled."""
        while True:
            await self._look()
            await self._wait()

    async def _look(self) -> None:
        try:
            relays = await self.published(self.domain)
        except OSError as error:
            # Once: a network that is away for a day is worth one line.
            if not self._failed:
                log.warning("relays of the domain unknown", extra={"domain": self.domain, "error": str(error)})
            self._failed = True
            return
        self._failed = False
        self.tell(RelaysPublished(relays))

    async def _wait(self) -> None:
        waited = 0.0
        while waited < EVERY and not (self.is_alone() and waited >= ALONE_EVERY):
            await asyncio.sleep(ALONE_EVERY)
            waited += ALONE_EVERY
