"""What `pulse top` costs with many nodes whose figures all move: `bench/top.py --json`.

The node is a process of its own that answers from memory, each time with other figures; the interface runs without a
terminal. Invariant: only the interface's own processor time counts, drawing included.
"""

import argparse
import asyncio
import os
import random
import signal
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import msgspec

from pulse.tui.app import TopApp
from rig import main


class Result(msgspec.Struct):
    """One run."""

    nodes: int
    seconds: float
    core_percent: float
    """Of one core."""
    looks: int
    look_ms: float
    """Processor time of one look, with all that is drawn meanwhile."""


def answer(path: Path, count: int) -> None:
    """Serve until killed."""
    sys.path.insert(0, str(Path(__file__).parents[1]))
    from tests.api.fake_control import FakeControl, peer, serving

    control = FakeControl()
    draw = random.Random(1)  # noqa: S311 - figures, no secrets

    def look() -> None:
        control.node.peers = [
            peer(f"node-{place}", id=f"{place:064x}", rtt=draw.uniform(0.001, 0.2), bytes_in=draw.randrange(1 << 40))
            for place in range(count)
        ]

    look()
    with serving(path, control):
        while True:
            time.sleep(0.5)
            look()


async def watch(data_dir: Path, seconds: float) -> tuple[float, float, int]:
    """Seconds that passed, processor time of this process, and looks."""
    app, looked = TopApp(data_dir), asyncio.Event()
    looks = 0
    draw = app._seen

    def seen(*told: Any) -> None:
        nonlocal looks
        looks += 1
        draw(*told)
        looked.set()

    # Counts looks where they are drawn.
    app._seen = seen  # type: ignore[method-assign, assignment]
    async with app.run_test(size=(160, 48)):
        await looked.wait()
        began, used, before = time.monotonic(), time.process_time(), looks
        await asyncio.sleep(seconds)
        return time.monotonic() - began, time.process_time() - used, looks - before


def measure(options: argparse.Namespace) -> Result:
    """Serve in a child, look in this process."""
    with tempfile.TemporaryDirectory(prefix="pulse-", dir="/tmp") as place:
        child = os.fork()
        if child == 0:
            answer(Path(place) / "pulse.sock", options.nodes)
        try:
            while not (Path(place) / "pulse.sock").exists():
                time.sleep(0.1)
            passed, used, looks = asyncio.run(watch(Path(place), options.seconds))
        finally:
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
    return Result(
        options.nodes, round(passed, 1), round(100 * used / passed, 1), looks, round(1000 * used / max(looks, 1), 1)
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--nodes", type=int, default=2000)
    parser.add_argument("--seconds", type=float, default=30.0)
    main(parser, measure)
