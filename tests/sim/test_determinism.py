"""A seed is a promise: the same world, event by event, in this process and in any other."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.sim.chaos import Chaos
from tests.sim.world import World

ROOT = Path(__file__).parents[2]
SEEDS = (3, 11, 18)
MINUTES = 3

HASH = """
import sys
from tests.sim.test_determinism import trace
print(trace(int(sys.argv[1])))
"""


def trace(seed: int) -> str:
    """The hash of everything that happened in the first minutes of a scenario."""
    world = World(seed, hashed=True)
    Chaos(world).run(MINUTES)
    return world.flow.digest()


def trace_elsewhere(seed: int, hash_seed: str) -> str:
    """The same in a process of its own, where sets have another order."""
    environment = {**os.environ, "PYTHONHASHSEED": hash_seed, "PYTHONPATH": f"{ROOT / 'src'}{os.pathsep}{ROOT}"}
    command = [sys.executable, "-c", HASH, str(seed)]
    return subprocess.run(command, env=environment, check=True, capture_output=True, text=True).stdout.strip()


@pytest.mark.parametrize("seed", SEEDS)
def test_the_same_seed_has_the_same_trace_whatever_the_order_of_sets(seed: int) -> None:
    assert trace(seed) == trace_elsewhere(seed, "1") == trace_elsewhere(seed, "4242")


def test_another_seed_has_another_trace() -> None:
    assert len({trace(seed) for seed in SEEDS}) == len(SEEDS)
