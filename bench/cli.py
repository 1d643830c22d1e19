"""How long quick commands take as whole processes, beside an interpreter that does nothing: `bench/cli.py --json`.

The node is a process of its own that answers from memory. Invariant: the processes take turns, so whatever else the
machine does is in all of their figures; the least and the median of each are told.
"""

import argparse
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import msgspec

from pulse.errors import SystemRefused
from rig import main

PULSE = ("-m", "pulse")


class Result(msgspec.Struct):
    """Milliseconds of a whole process: those that passed, and those of a processor."""

    nodes: int
    nothing_ms: float
    nothing_least_ms: float
    nothing_processor_ms: float
    status_ms: float
    status_least_ms: float
    status_processor_ms: float
    status_json_ms: float
    help_ms: float
    acl_list_ms: float


def answer(path: Path, count: int) -> None:
    """Serve until killed."""
    sys.path.insert(0, str(Path(__file__).parents[1]))
    from tests.api.fake_control import FakeControl, peer, serving

    peers = [peer(f"node-{place}", id=f"{place:064x}") for place in range(count)]
    with serving(path, FakeControl(*peers)):
        signal.pause()


def took(*words: str) -> tuple[float, float]:
    """Milliseconds that one process took, and how many of them it had a processor."""
    began = time.perf_counter()
    with subprocess.Popen([sys.executable, *words], stdout=subprocess.DEVNULL) as process:
        _, ended, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(ended)
    if process.returncode:
        raise SystemRefused(f"{' '.join(words)} ended with {process.returncode}")
    return (time.perf_counter() - began) * 1000, (used.ru_utime + used.ru_stime) * 1000


def measure(options: argparse.Namespace) -> Result:
    """Serve in a child, run commands in turn."""
    with tempfile.TemporaryDirectory(prefix="pulse-", dir="/tmp") as place:
        os.environ["PULSE_DATA_DIR"] = place
        child = os.fork()
        if child == 0:
            answer(Path(place) / "pulse.sock", options.nodes)
        try:
            while not (Path(place) / "pulse.sock").exists():
                time.sleep(0.1)
            lines = (
                ("-c", "pass"), (*PULSE, "status"), (*PULSE, "status", "--json"), (*PULSE, "--help"),
                (*PULSE, "acl", "list"),
            )  # fmt: skip
            rounds = [[took(*line) for line in lines] for _ in range(options.rounds)]
        finally:
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
    nothing, status, status_json, told, acl = ([*zip(*each, strict=True)] for each in zip(*rounds, strict=True))
    middle = statistics.median
    return Result(
        options.nodes,
        *(round(each, 1) for each in (middle(nothing[0]), min(nothing[0]), middle(nothing[1]))),
        *(round(each, 1) for each in (middle(status[0]), min(status[0]), middle(status[1]))),
        *(round(middle(each[0]), 1) for each in (status_json, told, acl)),
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--nodes", type=int, default=20)
    parser.add_argument("--rounds", type=int, default=15)
    main(parser, measure)
