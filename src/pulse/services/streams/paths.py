"""Whether a path leads to a node, for those who wait until one does, or until none has for a while.

Invariant: who waits is woken by the routes that change, not by looking again and again.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from pulse.core.types import NodeId

PATH_WITHIN: Final = 3.0
"""Seconds without a path for which nobody gives up: a node that has just started has none yet, and one whose network
changed has its next one sooner."""


@dataclass(slots=True)
class Paths:
    """The paths of this moment, as the routes have them."""

    leads_to: Callable[[NodeId], bool]
    """True if a path does."""
    _waiting: set[asyncio.Future[None]] = field(default_factory=set, init=False)

    def changed(self) -> None:
        """Routes are others."""
        for each in self._waiting:
            if not each.done():
                each.set_result(None)

    async def wait(self, node: NodeId) -> bool:
        """True once a path leads there; false if none does for as long as anybody waits for one."""
        try:
            async with asyncio.timeout(PATH_WITHIN):
                while not self.leads_to(node):
                    await self._turn()
        except TimeoutError:
            return False
        return True

    async def wait_lost(self, node: NodeId) -> None:
        """Return once no path has led there for as long."""
        while await self.wait(node):
            await self._turn()

    async def _turn(self) -> None:
        """Wait until routes change."""
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.add(turn)
        try:
            await turn
        finally:
            self._waiting.discard(turn)
