"""Signals of a node: none is lost while it starts, none ends it without its leave."""

import asyncio
import os
import pty
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from pulse.assembly.signals import ALL, Signals, hold
from tests.namespace import namespace

PATIENCE = 60.0


@pytest.fixture(autouse=True)
def listened() -> Iterator[None]:
    """Dispositions are the default ones, though nohup(1) ran the tests; they and the mask are afterwards as before."""
    before = {number: signal.getsignal(number) for number in ALL}
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, ())
    signal.signal(signal.SIGHUP, signal.SIG_DFL)
    yield
    signal.pthread_sigmask(signal.SIG_SETMASK, mask)
    for number, handler in before.items():
        signal.signal(number, handler)


async def until(event: asyncio.Event) -> None:
    async with asyncio.timeout(PATIENCE):
        await event.wait()


async def test_what_came_while_nobody_listened_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "isatty", lambda _: False)
    hold()
    for number in (signal.SIGHUP, signal.SIGTERM):
        # To this thread, which holds them back; others of the process that runs tests do not.
        signal.pthread_kill(threading.get_ident(), number)
    signals, reloaded = Signals(), asyncio.Event()
    signals.heard()
    await until(signals.stopping)

    signals.up(reloaded.set)

    await until(reloaded)


async def test_a_terminal_that_goes_stops_the_node(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "isatty", lambda _: True)
    signals = Signals()
    signals.heard()
    os.kill(os.getpid(), signal.SIGHUP)

    await until(signals.stopping)


async def test_nohup_is_heeded_on_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "isatty", lambda _: True)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    signals = Signals()
    signals.heard()
    os.kill(os.getpid(), signal.SIGHUP)
    os.kill(os.getpid(), signal.SIGINT)

    await until(signals.stopping)


async def test_long_work_ends_when_the_node_is_to_stop() -> None:
    signals, cancelled = Signals(), asyncio.Event()

    async def work() -> str:
        try:
            await asyncio.sleep(PATIENCE)
        finally:
            cancelled.set()
        return "late"

    asyncio.get_running_loop().call_soon(signals.stopping.set)

    assert await signals.unless_stopped(work()) is None
    assert cancelled.is_set()


async def test_work_that_is_done_gives_what_it_gave() -> None:
    async def work() -> str:
        return "done"

    async def failing() -> str:
        raise ValueError("said")

    assert await Signals().unless_stopped(work()) == "done"
    with pytest.raises(ValueError, match="said"):
        await Signals().unless_stopped(failing())


@contextmanager
def node(data: Path, error: int) -> Iterator[subprocess.Popen[bytes]]:
    with namespace() as netns:
        command = ["ip", "netns", "exec", netns, sys.executable, "-P", "-m", "pulse", "--ca", "--no-portmap"]
        with subprocess.Popen([*command, "--data-dir", str(data)], stdout=subprocess.PIPE, stderr=error) as process:
            try:
                yield process
            finally:
                process.kill()


def blocks_hangups(process: subprocess.Popen[bytes]) -> bool:
    status = Path(f"/proc/{process.pid}/status").read_text()
    masks = [line.split()[1] for line in status.splitlines() if line.startswith(("SigBlk:", "SigCgt:"))]
    return any(int(mask, 16) & 1 << (signal.SIGHUP - 1) for mask in masks)


def up(process: subprocess.Popen[bytes]) -> bool:
    assert process.stdout is not None
    return any(b"listening" in line for line in iter(process.stdout.readline, b""))


def test_hangups_while_it_starts_end_no_node(tmp_path: Path) -> None:
    with (tmp_path / "log").open("wb") as log, node(tmp_path / "data", log.fileno()) as process:
        while not blocks_hangups(process):
            assert process.poll() is None
            time.sleep(0.01)
        while not (tmp_path / "data" / "pulse.sock").exists() and process.poll() is None:
            process.send_signal(signal.SIGHUP)
            time.sleep(0.01)
        assert up(process)

        process.send_signal(signal.SIGTERM)
        assert process.wait(PATIENCE) == 0


def test_a_node_whose_terminal_goes_takes_its_leave(tmp_path: Path) -> None:
    ours, theirs = pty.openpty()
    with node(tmp_path / "data", theirs) as process:
        os.close(theirs)
        assert up(process)

        os.close(ours)
        process.send_signal(signal.SIGHUP)
        assert process.wait(PATIENCE) in (0, 120), "120 is Python's, which could not flush to the terminal"
    assert not (tmp_path / "data" / "pulse.sock").exists()
