"""Tells the service manager that started us how we fare: sd_notify(3), one datagram a message.

Invariant: without a manager every call does nothing, and none waits for it but `restarts`, which asks.
"""

import asyncio
import contextlib
import os
import re
import signal
import socket
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self

from pulse.errors import SystemRefused
from pulse.net.programs import run

_MICROSECONDS: Final = 1e6

_SHOWN: Final = 200
"""Characters of a status."""

_PATIENCE: Final = 3.0
"""Seconds for the manager to say what it does with us."""

_GROUPS: Final = Path("/proc/self/cgroup")


@dataclass(frozen=True, slots=True)
class Notifier:
    """The way to the manager; `place` is empty if nobody listens."""

    place: str = ""
    watchdog: float | None = None
    """Seconds after which the manager kills a process that said nothing."""

    @classmethod
    def from_environment(cls, environment: Mapping[str, str], pid: int) -> Self:
        """The manager that the variables name, if any; its watchdog if that is for process `pid`."""
        wanted = environment.get("WATCHDOG_USEC", "")
        meant = environment.get("WATCHDOG_PID") in (None, "", str(pid))
        period = int(wanted) / _MICROSECONDS if wanted.isdecimal() and int(wanted) and meant else None
        return cls(environment.get("NOTIFY_SOCKET", ""), period)

    def ready(self, status: str) -> None:
        """We are up, or reloaded."""
        self._tell("READY=1", f"STATUS={_one_line(status)}")

    def reloading(self) -> None:
        """We read our settings again; `ready` follows."""
        self._tell("RELOADING=1", f"MONOTONIC_USEC={time.monotonic_ns() // 1000}")

    def stopping(self) -> None:
        """We take our leave."""
        self._tell("STOPPING=1", "STATUS=taking leave")

    def alive(self, status: str) -> None:
        """We are well, and this is how the mesh is."""
        self._tell("WATCHDOG=1", f"STATUS={_one_line(status)}")

    async def restarts(self) -> bool:
        """True if we are told to end so that we are started anew; False, too, where that cannot be asked."""
        if not (self.place and (unit := _unit())):
            return False
        try:
            async with asyncio.timeout(_PATIENCE):
                with _spared():
                    jobs = await run("systemctl", "list-jobs", "--no-legend", "--plain", unit)
        except (SystemRefused, TimeoutError):
            return False
        return any(job.split()[1:3] == [unit, "restart"] for job in jobs.splitlines())

    def _tell(self, *lines: str) -> None:
        if not self.place:
            return
        # A name that begins with @ is in the abstract namespace, which the kernel writes with a zero.
        address = f"\0{self.place[1:]}" if self.place.startswith("@") else self.place
        with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as way:
            way.setblocking(False)
            way.sendto("\n".join(lines).encode(), os.fsencode(address))


@contextlib.contextmanager
def _spared() -> Iterator[None]:
    """What is started meanwhile is not ended by SIGTERM: the manager sends that to all that it finds in our unit."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _unit() -> str:
    """The unit that we are; empty if we are none."""
    try:
        found = re.search(r"/([^/\n]+\.service)$", _GROUPS.read_text(encoding="utf-8", errors="replace"), re.MULTILINE)
    except OSError:
        return ""
    return found[1] if found else ""


def _one_line(text: str) -> str:
    return " ".join(text.split())[:_SHOWN]
