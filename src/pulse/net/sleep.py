"""Notices that this machine slept, or that this program stood still.

Invariant: a sleep is told once, when it is over, and only if it was longer than links live unheard.
"""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

PERIOD: Final = 0.5
"""Seconds between two looks at the clock."""

NOTICED: Final = 3.0
"""Seconds of sleep that are worth a word: after 3.5 s of silence neighbours give a link up."""


SCHEDULED: Final = Path("/proc/thread-self/schedstat")
"""Nanoseconds that this thread ran, and those it waited for a processor (Documentation/scheduler/sched-stats)."""


def _at_rest() -> float:
    """Seconds since boot in which this thread neither ran nor wanted to: who comes late from too much work or on a
    crowded machine did not sleep, and to dial everybody anew would be more work."""
    try:
        ran, waited, _ = map(int, SCHEDULED.read_text().split())
    except OSError:
        ran, waited = time.thread_time_ns(), 0
    # Not the monotonic clock: that one sleeps when the machine does (clock_gettime(2)).
    return time.clock_gettime(time.CLOCK_BOOTTIME) - (ran + waited) / 1e9


@dataclass(frozen=True, slots=True)
class SleepWatch:
    """A look at the clock now and then: one that comes far too late, and not from work, came after a sleep."""

    clock: Callable[[], float] = _at_rest

    async def wait_woken(self) -> float:
        """Wait for the end of a sleep; the seconds it took."""
        while True:
            before = self.clock()
            await asyncio.sleep(PERIOD)
            slept = self.clock() - before - PERIOD
            if slept >= NOTICED:
                return slept
