"""Which seeds are run: those that once found something, always; then as many more as asked for."""

import os

FOUND: tuple[int, ...] = ()
"""Every seed that ever failed, kept for good."""

COUNT = int(os.environ.get("PULSE_SIM_SEEDS", "200"))


def chosen() -> list[int]:
    """The seeds of a run of the tests."""
    return [*FOUND, *(seed for seed in range(COUNT) if seed not in FOUND)]
