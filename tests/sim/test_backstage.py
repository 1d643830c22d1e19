"""Scenarios behind other tests: what they tell is heard in front, and none outlives what it runs behind."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.sim.backstage import RESULTS, ROOT, Backstage, Results

IN_FRONT = f"""
import os
from pathlib import Path
from tests.sim.backstage import Results
path = Path(os.environ["{RESULTS}"])
print([Results(path).of(seed) for seed in range(2)], path)
raise SystemExit(3)
"""


@pytest.fixture
def backstage() -> Iterator[Backstage]:
    running = Backstage([0, 1])
    yield running
    if running.results.exists():
        running.end()


def test_a_command_runs_in_front_hears_what_they_tell_and_leaves_nothing() -> None:
    environment = {**os.environ, "PULSE_SIM_SEEDS": "2", "PYTHONPATH": f"{ROOT / 'src'}{os.pathsep}{ROOT}"}
    command = [sys.executable, "-m", "tests.sim.backstage", sys.executable, "-c", IN_FRONT]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)

    told, _, path = done.stdout.strip().rpartition(" ")
    assert (done.returncode, told) == (3, "[None, None]")
    assert not Path(path).exists()


def test_they_give_way_to_everybody(backstage: Backstage) -> None:
    results = Results(backstage.results)
    assert results.of(0) is None
    niceness = os.getpriority(os.PRIO_PROCESS, backstage.pid)
    results.close()

    assert niceness == 19


def test_that_they_died_is_noticed_in_front(backstage: Backstage) -> None:
    results = Results(backstage.results)
    os.killpg(backstage.pid, signal.SIGKILL)

    with pytest.raises(AssertionError, match="ended before seed 17 was told"):
        results.of(17)
    results.close()


def test_a_line_is_read_once_it_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "results"
    path.write_text(json.dumps([7, "it broke"]) + "\n[8, nu")
    results = Results(path)

    assert results.of(7) == "it broke"
    with path.open("a") as file:
        file.write("ll]\n")
    assert results.of(8) is None
    results.close()
