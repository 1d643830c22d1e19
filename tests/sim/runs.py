"""Runs scenarios in as many processes as there are processors, for the tests and for `make sim-long`.

python -m tests.sim.runs --minutes 60      random seeds for an hour; each that fails is printed with its diagram
python -m tests.sim.runs 17 4711           these seeds
"""

import argparse
import os
import sys
import traceback
from collections.abc import Iterable, Iterator
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


def stories(seeds: Iterable[int]) -> list[str]:
    """Those of the seeds that failed."""
    return [told for seed in seeds if (told := story(seed)) is not None]


def pool() -> ProcessPoolExecutor:
    """Workers that share nothing: what one world leaves behind touches no other."""
    return ProcessPoolExecutor(os.cpu_count(), mp_context=get_context("spawn"))


def main() -> None:
    """Run seeds until the time is over; exit with 1 if any failed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("seeds", nargs="*", type=int, help="seeds to run; random ones if left out")
    parser.add_argument("--minutes", type=float, default=30.0, help="how long random seeds are run")
    options = parser.parse_args()
    seeds = iter(options.seeds) if options.seeds else _random_seeds(monotonic() + options.minutes * 60)
    run = failed = 0
    for told in _results(seeds):
        run += 1
        if told is not None:
            failed += 1
            print(told, flush=True)
    print(f"{run} seeds run, {failed} failed")
    sys.exit(1 if failed else 0)


def _random_seeds(until: float) -> Iterator[int]:
    chance = SystemRandom()
    while monotonic() < until:
        yield chance.randrange(FAR)


def _results(seeds: Iterator[int]) -> Iterator[str | None]:
    with pool() as workers:
        running: set[Future[str | None]] = set()
        while True:
            while len(running) < 2 * (os.cpu_count() or 1) and (seed := next(seeds, None)) is not None:
                running.add(workers.submit(story, seed))
            if not running:
                return
            done, running = wait(running, return_when=FIRST_COMPLETED)
            yield from (future.result() for future in done)


if __name__ == "__main__":
    main()
