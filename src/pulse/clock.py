"""The wall clock, read in one place: everything below takes time as an argument.

Durations are measured with the event loop's clock; this one is for validity, tokens and the journal.
"""

import time


def wall() -> float:
    """Seconds since 1970 by this machine's clock, which may be wrong."""
    return time.time()  # noqa: TID251
