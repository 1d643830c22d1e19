"""Which seeds are run: those that once found something, always; then as many more as asked for."""

import os

FOUND: tuple[int, ...] = ()
"""Every seed that ever failed, kept for good."""

COUNT = int(os.environ.get("PULSE_SIM_SEEDS", "200"))


def chosen() -> list[int]:
    """The seeds of a run of the tests; the last, which have the largest meshes, come first: nobody waits for them in
    the end."""
    return [*reversed(range(COUNT)), *(seed for seed in FOUND if seed >= COUNT)]
