"""Runs scenarios in as many processes as there are processors, for the tests and for `make sim-long`.

python -m tests.sim.runs --minutes 60      random seeds for an hour; each that fails is printed with its diagram
python -m tests.sim.runs 17 4711           these seeds
python -m tests.sim.runs --json 17 4711    the same, for programs: one line a seed, as it ends
python -m tests.sim.runs --behind …        on processors nobody else wants
"""

import argparse
import json
import os
import sys
import traceback
from collections.abc import Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from contextlib import suppress
from functools import lru_cache
from itertools import takewhile
from multiprocessing import get_context
from pathlib import Path
from random import SystemRandom
from time import monotonic
from unittest.mock import patch

from pulse.core.paths.noderecord import Claim, NodeRecord, read_record
from pulse.core.trust import signed
from pulse.core.trust.certificates import Certificate
from pulse.core.trust.identity import signature_fits
from pulse.core.types import Network
from tests.sim.chaos import Chaos
from tests.sim.world import World

signature_fits_once = lru_cache(maxsize=4096)(signature_fits)
vouched = Claim.vouched

FAR = 2**32
"""Random seeds are below this one."""


def story(seed: int) -> str | None:
    """Live through the scenario of a seed; what went wrong, with its diagram, or None."""
    try:
        # What one node verified every other verifies again, with the same result.
        with patch.object(signed, "signature_fits", signature_fits_once), patch.object(Claim, "vouched", _vouched):
            Chaos(World(seed)).run()
    except Exception as error:
        return "".join([f"seed {seed} failed\n", *traceback.format_exception(error)])
    return None


def _vouched(claim: Claim, certificate: Certificate, network: Network) -> NodeRecord:
    return _opened_once(claim.data, certificate, network)


@lru_cache(maxsize=4096)
def _opened_once(data: bytes, certificate: Certificate, network: Network) -> NodeRecord:
    return vouched(read_record(data), certificate, network)


def _pool() -> ProcessPoolExecutor:
    """Workers that share nothing: what one world leaves behind touches no other."""
    return ProcessPoolExecutor(os.cpu_count(), mp_context=get_context("spawn"))


def main() -> None:
    """Run seeds until the time is over; exit with 1 if any failed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("seeds", nargs="*", type=int, help="seeds to run; random ones if left out")
    parser.add_argument("--minutes", type=float, default=30.0, help="how long random seeds are run")
    parser.add_argument("--json", action="store_true", help="print [seed, what went wrong or null] for each seed")
    parser.add_argument("--behind", action="store_true", help="give way to whoever else wants a processor")
    options = parser.parse_args()
    seeds = iter(options.seeds) if options.seeds else _random_seeds(monotonic() + options.minutes * 60)
    if options.behind:
        seeds = _behind(seeds)
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


def _behind(seeds: Iterator[int]) -> Iterator[int]:
    """Give way to whoever else wants a processor, and begin nothing more once whoever wanted to know is gone."""
    os.nice(19)
    if os.getsid(0) == os.getpid():
        # Where Linux shares processors out by session, only the niceness of the session counts.
        with suppress(OSError):
            Path("/proc/self/autogroup").write_text("19", encoding="ascii")
    asker = os.getppid()
    return takewhile(lambda _: os.getppid() == asker, seeds)


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
