"""Sleep, as the clock that goes on meanwhile shows it."""

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator

import pytest

from pulse.net import sleep
from pulse.net.sleep import NOTICED, SleepWatch

LIMIT = 20.0

STOPPED = 2.0
STAND_STILL = """
import asyncio
from pulse.net import sleep
sleep.NOTICED = 0.5

async def watch():
    woken = asyncio.ensure_future(sleep.SleepWatch().wait_woken())
    await asyncio.sleep(0)
    print("ready", flush=True)
    print(await woken)

asyncio.run(watch())
"""


@pytest.fixture(autouse=True)
def often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sleep, "PERIOD", 0.01)


def showing(*jumps: float) -> Callable[[], float]:
    """A clock that is further on by one of these at each look, and by nothing in the end."""
    left: Iterator[float] = iter(jumps)
    shown = 0.0

    def look() -> float:
        nonlocal shown
        shown += next(left, 0.0)
        return shown

    return look


async def test_the_seconds_of_a_sleep_are_told_when_it_is_over() -> None:
    async with asyncio.timeout(LIMIT):
        slept = await SleepWatch(showing(0.0, 0.01, 0.0, 90.01)).wait_woken()

    assert round(slept) == 90


async def test_a_short_pause_is_none() -> None:
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(SleepWatch(showing(0.0, NOTICED, 0.0, NOTICED)).wait_woken(), 0.3)


def test_a_program_that_was_stopped_notices_it() -> None:
    with subprocess.Popen([sys.executable, "-c", STAND_STILL], stdout=subprocess.PIPE, text=True) as program:
        assert program.stdout is not None
        assert program.stdout.readline() == "ready\n"
        os.kill(program.pid, signal.SIGSTOP)
        with pytest.raises(subprocess.TimeoutExpired):
            program.wait(STOPPED)
        os.kill(program.pid, signal.SIGCONT)
        said, _ = program.communicate(timeout=LIMIT)

    assert float(said) > STOPPED / 4


async def test_a_program_that_has_too_much_to_do_did_not_sleep(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sleep, "NOTICED", 0.2)
    woken = asyncio.ensure_future(SleepWatch().wait_woken())
    await asyncio.sleep(0)

    end = time.thread_time() + 1.0
    while time.thread_time() < end:
        pass

    with pytest.raises(TimeoutError):
        await asyncio.wait_for(woken, 0.3)
