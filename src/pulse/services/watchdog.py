"""Shows the service manager that this node lives: from the event loop, with what the data plane answers.

Invariant: a loop that hangs, or a data plane that answers no more, says nothing, and the manager starts the node anew.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Protocol

EVERY: Final = 30.0
"""Seconds between two signs of life where no watchdog waits for them: the status line is to be fresh."""


class Manager(Protocol):
    """What this service asks of the way to the service manager."""

    @property
    def watchdog(self) -> float | None:
        """Seconds after which the manager gives us up."""
        ...

    def alive(self, status: str) -> None:
        """Say that we are well."""
        ...


@dataclass(frozen=True, slots=True)
class WatchdogService:
    """Signs of life, twice as often as the manager wants them."""

    manager: Manager
    sentence: Callable[[], str]
    """The first line of the status, for which the data plane is asked."""

    async def run(self) -> None:
        """Tell, until cancelled."""
        pause = self.manager.watchdog / 2 if self.manager.watchdog else EVERY
        while True:
            self.manager.alive(self.sentence())
            await asyncio.sleep(pause)
