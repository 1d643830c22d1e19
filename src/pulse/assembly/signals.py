"""Hears the signals of a node, from its start on: those that stop it, and the one by which settings are read again.

Invariant: none ends the process by its default action once they are heard; those that came before, held back, count.
"""

import asyncio
import os
import signal
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Final, TypeVar

_T = TypeVar("_T")

STOPS: Final = (signal.SIGTERM, signal.SIGINT)
ALL: Final = (*STOPS, signal.SIGHUP)


def hold() -> None:
    """From now on signals wait, through an exec too, until `heard` is called."""
    signal.pthread_sigmask(signal.SIG_BLOCK, ALL)


@dataclass(slots=True)
class Signals:
    """What signals asked for before the node was up, and afterwards."""

    stopping: asyncio.Event = field(default_factory=asyncio.Event)
    """The node is to end."""
    _hung_up: bool = field(default=False, init=False)
    _reload: Callable[[], None] | None = field(default=None, init=False)

    def heard(self) -> None:
        """Listen. On a terminal SIGHUP says that the terminal is gone, and stops the node, unless nohup(1) ran it."""
        listen = asyncio.get_running_loop().add_signal_handler
        for number in STOPS:
            listen(number, self.stopping.set)
        if not os.isatty(2):
            listen(signal.SIGHUP, self._hang_up)
        elif signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:
            listen(signal.SIGHUP, self.stopping.set)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, ALL)

    def up(self, reload: Callable[[], None]) -> None:
        """The node is up: SIGHUP is `reload` from now on, and so is one that came while it started."""
        self._reload = reload
        if self._hung_up:
            reload()

    async def unless_stopped(self, work: Awaitable[_T]) -> _T | None:
        """What `work` gives; None if the node is to end before that, which cancels it."""
        waiting = asyncio.ensure_future(self.stopping.wait())
        working = asyncio.ensure_future(work)
        try:
            await asyncio.wait((waiting, working), return_when=asyncio.FIRST_COMPLETED)
            return working.result() if working.done() else None
        finally:
            waiting.cancel()
            working.cancel()
            await asyncio.wait((waiting, working))

    def _hang_up(self) -> None:
        self._hung_up = True
        if self._reload:
            self._reload()
