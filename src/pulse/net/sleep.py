"""Notices that this machine slept, or that this program stood still.

Invariant: a sleep is told once, when it is over, and only if it was longer than links live unheard.
"""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

PERIOD: Final = 0.5
"""Seconds between two looks at the clock."""

NOTICED: Final = 3.0
"""Seconds of sleep that are worth a word: after 3.5 s of silence neighbours give a link up."""


def _since_boot() -> float:
    # Not the monotonic clock: that one sleeps when the machine does (clock_gettime(2)).
    return time.clock_gettime(time.CLOCK_BOOTTIME)


@dataclass(frozen=True, slots=True)
class SleepWatch:
    """A look at the clock now and then: one that comes far too late came after a sleep."""

    clock: Callable[[], float] = _since_boot

    async def wait_woken(self) -> float:
        """Wait for the end of a sleep; the seconds it took."""
        while True:
            before = self.clock()
            await asyncio.sleep(PERIOD)
            slept = self.clock() - before - PERIOD
            if slept >= NOTICED:
                return slept
