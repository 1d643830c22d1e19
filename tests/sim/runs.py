"""Runs scenarios in as many processes as there are processors, for the tests and for `make sim-long`.

python -m tests.sim.runs --minutes 60      random seeds for an hour; each that fails is printed with its diagram
python -m tests.sim.runs 17 4711           these seeds
python -m tests.sim.runs --json 17 4711    the same, for programs: one line a seed, as it ends
"""

import argparse
import json
import os
import sys
import traceback
from collections.abc import Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from functools import lru_cache
from multiprocessing import get_context
from random import SystemRandom
from time import monotonic
from unittest.mock import patch

from pulse.core.trust import signed
from pulse.core.trust.identity import signature_fits
from tests.sim.chaos import Chaos
from tests.sim.world import World

signature_fits_once = lru_cache(maxsize=4096)(signature_fits)

FAR = 2**32
"""Random seeds are below this one."""


def story(seed: int) -> str | None:
    """Live through the scenario of a seed; what went wrong, with its diagram, or None."""
    try:
        # What one node verified every other verifies again, with the same result.
        with patch.object(signed, "signature_fits", signature_fits_once):
            Chaos(World(seed)).run()
    except Exception as error:
        return "".join([f"seed {seed} failed\n", *traceback.format_exception(error)])
    return None


def _pool() -> ProcessPoolExecutor:
    """Workers that share nothing: what one world leaves behind touches no other."""
    return ProcessPoolExecutor(os.cpu_count(), mp_context=get_context("spawn"))


def main() -> None:
    """Run seeds until the time is over; exit with 1 if any failed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("seeds", nargs="*", type=int, help="seeds to run; random ones if left out")
    parser.add_argument("--minutes", type=float, default=30.0, help="how long random seeds are run")
    parser.add_argument("--json", action="store_true", help="print [seed, what went wrong or null] for each seed")
    options = parser.parse_args()
    seeds = iter(options.seeds) if options.seeds else _random_seeds(monotonic() + options.minutes * 60)
    run = failed = 0
    for seed, told in _results(seeds):
        run += 1
        failed += told is not None
        if options.json:
            print(json.dumps([seed, told]), flush=True)
        elif told is not None:
            print(told, flush=True)
    if not options.json:
        print(f"{run} seeds run, {failed} failed")
    sys.exit(1 if failed else 0)


def _random_seeds(until: float) -> Iterator[int]:
    chance = SystemRandom()
    while monotonic() < until:
        yield chance.randrange(FAR)


def _told(seed: int) -> tuple[int, str | None]:
    return seed, story(seed)


def _results(seeds: Iterator[int]) -> Iterator[tuple[int, str | None]]:
    with _pool() as workers:
        running: set[Future[tuple[int, str | None]]] = set()
        while True:
            while len(running) < 2 * (os.cpu_count() or 1) and (seed := next(seeds, None)) is not None:
                running.add(workers.submit(_told, seed))
            if not running:
                return
            done, running = wait(running, return_when=FIRST_COMPLETED)
            yield from (future.result() for future in done)


if __name__ == "__main__":
    main()
