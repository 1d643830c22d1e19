"""A text in another process's memory is found wherever it is, and only where it is."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from pulse.errors import SystemRefused
from pulse.lab import memory
from pulse.lab.memory import search
from tests.people import NOBODY

SECRET = b"canary-5f1d9c"
HOLDS = """
import mmap, sys
page = mmap.mmap(-1, {size})
place, half = {place}, {half!r}
page[place:place + len(half)] = half
page[place + len(half):place + 2 * len(half) + 1] = {rest!r}
print("ready", flush=True)
sys.stdin.read()
"""
"""Its own text has the secret in two halves, so only the page has it whole."""


@contextmanager
def holding(place: int, size: int = 3 * memory.PIECE) -> Iterator[int]:
    """A process that has the secret at one place of a large page; its number."""
    middle = len(SECRET) // 2
    code = HOLDS.format(size=size, place=place, half=SECRET[:middle], rest=SECRET[middle:])
    with subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == b"ready\n"
        yield child.pid
        child.communicate(timeout=30)


@pytest.mark.parametrize("place", [0, memory.PIECE - 5, memory.PIECE, 2 * memory.PIECE - 1, 3 * memory.PIECE - 13])
def test_it_is_found_once_wherever_it_is_also_across_two_pieces(place: int) -> None:
    with holding(place) as pid:
        seen = search(pid, SECRET)

    assert seen.found == 1
    assert seen.size > 3 * memory.PIECE


def test_what_is_not_there_is_not_found() -> None:
    with holding(100) as pid:
        assert search(pid, SECRET.replace(b"canary", b"parrot")).found == 0


def test_one_letter_is_counted_everywhere() -> None:
    with holding(100) as pid:
        assert search(pid, SECRET[:1]).found > 100


def test_a_process_that_is_gone_is_named() -> None:
    with subprocess.Popen(["true"]) as child:
        child.wait()

    with pytest.raises(SystemRefused, match=f"process {child.pid} cannot be read"):
        search(child.pid, SECRET)


def test_who_may_not_read_it_is_told() -> None:
    code = "from pulse.lab.memory import search\nimport sys\nsearch(int(sys.argv[1]), b'x')"
    from tests.people import run_as

    done = run_as(NOBODY, "import pulse.lab.memory", code, str(os.getpid()))

    assert done.returncode != 0
    assert f"the memory of process {os.getpid()} cannot be read: Permission denied" in done.stderr


def test_pages_of_the_kernel_are_passed_over() -> None:
    assert "[vvar]" in Path("/proc/self/maps").read_text(encoding="utf-8")

    with holding(0) as pid:
        assert search(pid, b"\x7fELF").found > 3
