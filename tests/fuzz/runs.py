"""Gives every parser damaged input, by the hundred thousand, and looks that it is read or refused, soon and cheaply.

python -m tests.fuzz.runs                           100,000 inputs a parser (`make fuzz`)
python -m tests.fuzz.runs --runs 5000 --seed 7 invites "signed roles"

Invariant: the same seed gives the same inputs to each parser, whichever others run.
"""

import argparse
import heapq
import secrets
import tempfile
import time
import tracemalloc
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Final

from tests.fuzz.mutation import mutated
from tests.fuzz.parsers import Parser, parsers

LONGEST: Final = 0.1
"""Seconds that no input may take."""

MOST_MEMORY: Final = 10_000_000
"""Bytes that none may take."""

SHOWN: Final = 1024
"""Bytes of an input in the error that tells of it."""

DEAREST: Final = 10
"""Inputs looked at again: those that took longest."""


@dataclass(frozen=True, slots=True)
class Figures:
    """What became of one parser's inputs."""

    runs: int
    taken: int
    """Inputs that were read to a value."""
    longest: float
    """Seconds that one took at most."""
    memory: int
    """Bytes that one took at most, of those that took long."""


def fuzzed(parser: Parser, runs: int, seed: int) -> Figures:
    """Give it so many inputs; raises AssertionError with the input in hex for one that breaks it."""
    random = Random(f"{seed} {parser.name}")
    taken = 0
    slowest: list[tuple[float, bytes]] = []
    for number in range(runs):
        data = mutated(random, parser.seeds)[: parser.most]
        began = time.perf_counter()
        taken += _reads(parser, data)
        took = time.perf_counter() - began
        if number < DEAREST:
            heapq.heappush(slowest, (took, data))
        else:
            heapq.heappushpop(slowest, (took, data))
    return Figures(runs, taken, max(_took(parser, data) for _, data in slowest), _memory(parser, slowest))


def _reads(parser: Parser, data: bytes) -> bool:
    try:
        parser.read(data)
    except parser.refusals:
        return False
    except BaseException as error:
        raise AssertionError(f"{parser.name}: {type(error).__name__}: {error}: {_shown(data)}") from error
    return True


def _shown(data: bytes) -> str:
    """An input, its beginning if it is long: the seed makes all of it again."""
    return f"{len(data)} bytes, {data[:SHOWN].hex()}"


def _took(parser: Parser, data: bytes) -> float:
    """Seconds at least, of a few tries: others use this machine too."""
    times = []
    for _ in range(3):
        began = time.perf_counter()
        _reads(parser, data)
        times.append(time.perf_counter() - began)
    assert min(times) <= LONGEST, f"{parser.name}: {min(times):.3f} s: {_shown(data)}"
    return min(times)


def _memory(parser: Parser, inputs: Sequence[tuple[float, bytes]]) -> int:
    most = 0
    for _, data in inputs:
        tracemalloc.start()
        _reads(parser, data)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert peak <= MOST_MEMORY, f"{parser.name}: {peak} bytes taken: {_shown(data)}"
        most = max(most, peak)
    return most


def main() -> None:
    """Run what the command line names; an error ends it with the input that caused it."""
    made = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    made.add_argument("names", nargs="*", metavar="parser", help="part of a parser's name; all without one")
    made.add_argument("--runs", type=int, default=100_000)
    made.add_argument("--seed", type=int, default=secrets.randbits(32))
    asked = made.parse_args()
    print(f"seed {asked.seed}", flush=True)
    with tempfile.TemporaryDirectory(prefix="fuzz-", dir="/dev/shm") as place:
        for parser in parsers(Path(place)):
            if not asked.names or any(name in parser.name for name in asked.names):
                found = fuzzed(parser, asked.runs, asked.seed)
                print(
                    f"{parser.name}: {found.runs} inputs, {found.taken} taken, "
                    f"{found.longest * 1000:.1f} ms and {found.memory / 1000:.0f} kB at most",
                    flush=True,
                )


if __name__ == "__main__":
    main()
