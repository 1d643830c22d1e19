"""What labs that are over left on this machine, whoever else has a lab just now: for tests that nothing stays."""

import os
from pathlib import Path

from pulse.lab.state import StateFile, all_states, is_alive

NAMESPACES = Path("/run/netns")
OF_TESTS = "pulse-test-"
"""Namespaces that tests make by themselves, without a lab."""


def leftovers() -> set[str]:
    """Labs that nobody keeps, or this process does, and namespaces of labs that are no more."""
    labs = all_states()
    names = [state.record.name for state in labs]
    namespaces = [path.name for path in NAMESPACES.glob("pulse-*") if not path.name.startswith(OF_TESTS)]
    strays = [each for each in namespaces if not any(each.startswith(f"pulse-{name}-") for name in names)]
    return {*strays, *(state.record.name for state in labs if _is_over(state))}


def _is_over(state: StateFile) -> bool:
    keeper = state.record.keeper
    return keeper is None or keeper.pid == os.getpid() or not is_alive(keeper)
