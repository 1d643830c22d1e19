"""The scenarios run behind all other tests, from the first one on: those wait for daemons most of their time.

python -m tests.sim.backstage make phases     run a command, and the scenarios behind it; what they tell waits in a file

Invariant: they give way to whoever else wants a processor, and end with what they run behind.
"""

import fcntl
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from tempfile import mkstemp
from time import sleep

from tests.sim import seeds

ROOT = Path(__file__).parents[2]

RESULTS = "PULSE_SIM_RESULTS"
"""The variable that names the file, for tests that run in front."""

LOOK = 0.2
"""Seconds between two looks for what was told since."""

FAREWELL = 1.0


class Backstage:
    """One process, with workers of its own, that lives through scenario after scenario."""

    def __init__(self, chosen: Iterable[int]) -> None:
        file, name = mkstemp(prefix="pulse-sim-")
        self.results = Path(name)
        # The lock belongs to the open file: it is free once everybody who writes there is gone.
        fcntl.flock(file, fcntl.LOCK_EX)
        command = [sys.executable, "-m", "tests.sim.runs", "--behind", "--json", *map(str, chosen)]
        environment = {**os.environ, "PYTHONPATH": f"{ROOT / 'src'}{os.pathsep}{ROOT}"}
        process = self._process = subprocess.Popen(
            command, cwd=ROOT, env=environment, stdout=file, stdin=subprocess.DEVNULL, start_new_session=True
        )
        self.pid = process.pid
        os.close(file)

    def end(self) -> None:
        """End what still runs, the workers too; who has just told the last seed goes by itself."""
        try:
            self._process.wait(timeout=FAREWELL)
        except subprocess.TimeoutExpired:
            os.killpg(self.pid, signal.SIGTERM)
            self._process.wait(timeout=60)
        self.results.unlink()


class Results:
    """What the scenarios told so far, wherever they run."""

    def __init__(self, path: Path) -> None:
        self._file = path.open(encoding="utf-8")
        self._told: dict[int, str | None] = {}
        self._rest = ""

    def of(self, seed: int) -> str | None:
        """What went wrong in the scenario of a seed, or None; waits for its end."""
        while seed not in self._told:
            is_over = self._nobody_writes()
            if not self._read() and seed not in self._told:
                assert not is_over, f"the scenarios ended before seed {seed} was told"
                sleep(LOOK)
        return self._told[seed]

    def close(self) -> None:
        """Nobody asks any more."""
        self._file.close()

    def _read(self) -> bool:
        """Read on; True if there was more."""
        more = self._file.read()
        *lines, self._rest = (self._rest + more).split("\n")
        self._told.update(json.loads(line) for line in lines)
        return bool(more)

    def _nobody_writes(self) -> bool:
        try:
            fcntl.flock(self._file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True


def main() -> int:
    """Run a command in front; its exit code is ours."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    backstage = Backstage(seeds.chosen())
    try:
        return subprocess.call(sys.argv[1:], env={**os.environ, RESULTS: str(backstage.results)})
    except KeyboardInterrupt:
        return 128 + signal.SIGINT
    finally:
        backstage.end()


if __name__ == "__main__":
    sys.exit(main())
