"""The scenarios run behind all other tests, from the first one on: those wait for daemons most of their time.

Invariant: they give way to whoever else wants a processor. They are a group of processes and not a session of their
own, whose autogroup would make their niceness void.
"""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


class Backstage:
    """One process, with workers of its own, that lives through scenario after scenario."""

    def __init__(self, seeds: Iterable[int]) -> None:
        self._asked = dict.fromkeys(seeds).keys()
        command = ["nice", "-n", "19", sys.executable, "-m", "tests.sim.runs", "--json", *map(str, self._asked)]
        self._process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, process_group=0)
        self._told: dict[int, str | None] = {}

    def result(self, seed: int) -> str | None:
        """What went wrong in the scenario of a seed, or None; waits for its end."""
        assert self._process.stdout is not None
        while seed not in self._told:
            line = self._process.stdout.readline()
            assert line, f"the scenarios ended before seed {seed} was told"
            ended, told = json.loads(line)
            self._told[ended] = told
        return self._told[seed]

    def end(self) -> None:
        """End what still runs, the workers too."""
        if self._told.keys() < self._asked:
            with suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGTERM)
        self._process.communicate(timeout=60)


_BACKSTAGE = pytest.StashKey[Backstage]()


def raise_curtain(session: pytest.Session, seeds: list[int]) -> None:
    """Begin with these seeds; the last, who have the largest meshes, come first: nobody waits for one in the end."""
    if seeds:
        session.stash[_BACKSTAGE] = Backstage(reversed(seeds))


def backstage_of(session: pytest.Session) -> Backstage:
    """Where the scenarios of this session run."""
    return session.stash[_BACKSTAGE]


def lower_curtain(session: pytest.Session) -> None:
    """End what runs in this session, if anything does."""
    backstage = session.stash.get(_BACKSTAGE, None)
    if backstage is not None:
        backstage.end()
