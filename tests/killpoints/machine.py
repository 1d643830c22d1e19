"""A daemon on loopback that can be killed as it enters a system call of one's choice.

Invariant: what is killed is a process of a machine made here, by its number.
"""

import os
import secrets
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from pulse.client import Client
from pulse.config import socket_in
from pulse.errors import LinkError
from pulse.lab.host import wait_until
from tests.ports import free_port

ROOT = Path(__file__).parents[2]
PATIENCE = 60.0
"""Seconds anything may take; guards against hanging only."""

LETTING_GO = 3.0
"""Seconds strace has to let go of a process."""

CALLS = ("pwrite64", "fdatasync", "fsync", "rename", "unlink", "link")
"""What files are written with, the ledger's and all others'."""


class Point(NamedTuple):
    """A system call, and which one of its kind from the moment one looks."""

    call: str
    when: int


class Done(NamedTuple):
    """How a command ended."""

    code: int
    out: str
    err: str


@dataclass(frozen=True, slots=True)
class Machine:
    """One data directory and the port of its node."""

    data: Path
    port: int
    settings: Mapping[str, str] = field(default_factory=dict)
    """More of its environment."""

    @classmethod
    def at(cls, data: Path, **settings: str) -> "Machine":
        """A machine that was never started."""
        return cls(data, free_port(), settings)

    @property
    def address(self) -> str:
        """Where its node is reached."""
        return f"127.0.0.1:{self.port}"

    @property
    def client(self) -> Client:
        """A connection to its node; raises LinkError if none runs."""
        return Client(socket_in(self.data))

    @property
    def pid(self) -> int:
        """Its node's process."""
        with self.client as client:
            return client.pid

    def pulse(self, *arguments: str) -> Done:
        """A command on this machine."""
        command = [sys.executable, "-m", "pulse", *arguments, "--data-dir", str(self.data)]
        imports = os.pathsep.join(map(str, (ROOT / "src", ROOT)))
        environment = {**os.environ, "PYTHONPATH": imports, **self.settings}
        done = subprocess.run(command, env=environment, text=True, capture_output=True, timeout=PATIENCE, check=False)
        return Done(done.returncode, done.stdout, done.stderr)

    def start(self, *flags: str) -> None:
        """Start the node; it must come up, whatever was done to it before."""
        listen = ("--listen", self.address, "--addr", self.address, "--no-beacon", "--no-portmap")
        done = self.pulse("start", *listen, *flags)
        assert done.code == 0, done

    def is_up(self) -> bool:
        """True if its node runs."""
        with suppress(LinkError):
            return self.pid > 0
        return False

    def stop(self) -> None:
        """End the node, if it runs."""
        if self.is_up():
            self.pulse("stop")

    def calls_of(self, act: Callable[[], object]) -> list[Point]:
        """Every system call by which the node writes files while `act` is done, killing nothing."""
        with _traced(self.pid, self.data.with_suffix(".trace")) as trace:
            act()
        counted: Counter[str] = Counter()
        for line in trace.read_text(encoding="utf-8").splitlines():
            name = line.split(maxsplit=1)[1].partition("(")[0] if " " in line else ""
            if name in CALLS:
                counted[name] += 1
        return [Point(call, when) for call in CALLS for when in range(1, counted[call] + 1)]

    def killed_at(self, point: Point, act: Callable[[], Done]) -> Done:
        """Do `act` while the node waits to be killed at `point`; if it never comes there it is killed afterwards."""
        node = self.pid
        inject = ("-e", f"inject={point.call}:signal=KILL:when={point.when}")
        with _traced(node, self.data.with_suffix(".trace"), point.call, *inject):
            done = act()
            with suppress(ProcessLookupError):
                os.kill(node, signal.SIGKILL)
        wait_until(lambda: not _is_alive(node), "the node is dead", PATIENCE)
        return done


@contextmanager
def _traced(process: int, trace: Path, calls: str = ",".join(CALLS), *more: str) -> Iterator[Path]:
    """Watch the system calls of a process and of all its threads; where they are written."""
    command = ["strace", "-f", "-o", str(trace), "-e", f"trace={calls}", "-e", "signal=none", *more, "-p", str(process)]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as strace:
        assert strace.stderr is not None
        said = strace.stderr.readline()
        assert "attached" in said, said
        try:
            yield trace
        finally:
            strace.send_signal(signal.SIGINT)
            try:
                strace.wait(LETTING_GO)
            except subprocess.TimeoutExpired:
                # It can wait for ever for threads of a process whose first one is dead already.
                strace.kill()


def _is_alive(process: int) -> bool:
    try:
        state = Path(f"/proc/{process}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state not in "ZX"


def random_node() -> str:
    """The id of a node nobody ever met."""
    return secrets.token_hex(32)
