"""A host of the lab: commands run in its network, under its name, with its own data directory for pulse.

Invariant: every process started here is recorded, so that the lab ends with it, whatever becomes of this program.
"""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv4Interface, IPv6Interface
from pathlib import Path
from typing import Final

from pulse.errors import PulseError
from pulse.interpreter import program
from pulse.lab.plan import Port
from pulse.lab.state import StateFile

HOSTS_FILE: Final = "hosts"
"""In a host's directory: what its programs find at /etc/hosts."""

PATIENCE: Final = 60.0
"""Seconds a command may take unless told otherwise: a guard against hanging."""

_ENTER: Final = 'hostname "$0"; [ ! -e "$1" ] || [ ! -e /etc/hosts ] || mount --bind "$1" /etc/hosts; shift; exec "$@"'
"""Runs where `ip netns exec` has made mounts our own, so nothing of it outlives the command."""


@dataclass(frozen=True, slots=True)
class Output:
    """What a command that has ended left behind."""

    code: int
    stdout: str
    stderr: str


@dataclass(frozen=True, slots=True)
class Running:
    """A program that runs on a host; all it says is in `log`."""

    process: subprocess.Popen[bytes]
    log: Path

    def text(self) -> str:
        """Read what it has said so far."""
        return self.log.read_text(encoding="utf-8", errors="replace")

    def wait(self, timeout: float = PATIENCE) -> int:
        """Wait for its end and return the exit code. Raises PulseError if that takes longer."""
        try:
            return self.process.wait(timeout)
        except subprocess.TimeoutExpired as error:
            raise PulseError(f"still running after {timeout:g} s: {_line(error.cmd)}\n{self.text()}") from error

    def wait_begun(self, words: str, who: str, timeout: float = PATIENCE) -> None:
        """Wait until it says these words first. Raises PulseError with all that it said instead, once it has ended."""
        ended = self.process.poll
        wait_until(lambda: self.text().startswith(words) or ended() is not None, f"{who} is {words}", timeout)
        if not self.text().startswith(words):
            raise PulseError(f"{who} failed:\n{self.text()}")

    def stop(self, number: signal.Signals = signal.SIGTERM, timeout: float = PATIENCE) -> int:
        """Send it a signal and wait for its end; returns the exit code. Raises PulseError if it goes on."""
        self.process.send_signal(number)
        return self.wait(timeout)


@dataclass(slots=True)
class Host:
    """One host: `ports` are its interfaces in order, `directory` holds its files, `data` is pulse's part of them."""

    name: str
    namespace: str
    directory: Path
    ports: tuple[Port, ...]
    state: StateFile
    _started: list[Running] = field(default_factory=list, repr=False)

    @property
    def data(self) -> Path:
        """The data directory of the pulse that runs here."""
        return data_of(self.directory)

    @property
    def v4(self) -> IPv4Interface:
        """The IPv4 address of its first interface."""
        return self.ports[0].v4

    @property
    def v6(self) -> IPv6Interface:
        """The IPv6 address of its first interface."""
        return self.ports[0].v6

    @property
    def pulse_pid(self) -> int:
        """The process of the pulse that runs here. Raises PulseError if none does."""
        try:
            return int((self.data / "lock").read_text(encoding="ascii"))
        except (OSError, ValueError) as error:
            raise PulseError(f"no pulse runs on {self.name}") from error

    def way_to(self, other: "Host") -> IPv4Address | None:
        """Where `other` is reached from here: its address on a network of ours, else its first, if it has one."""
        ours = {port.network for port in self.ports}
        shared = [port.v4.ip for port in other.ports if port.network in ours]
        return next(iter([*shared, *(port.v4.ip for port in other.ports)]), None)

    def run(
        self,
        command: Sequence[str],
        *,
        check: bool = True,
        timeout: float = PATIENCE,
        stdin: str = "",
        environment: Mapping[str, str] | None = None,
    ) -> Output:
        """Run a command here and wait for its end.

        Raises PulseError, with all the command said, if it fails (unless `check` is off) or takes longer than
        `timeout` seconds.
        """
        inside = self.inside(command)
        variables = self._environment(environment)
        try:
            done = subprocess.run(
                inside, input=stdin, capture_output=True, text=True, check=False, timeout=timeout, env=variables
            )
        except subprocess.TimeoutExpired as error:
            raise PulseError(f"no end after {timeout:g} s on {self.name}: {_line(command)}") from error
        if check and done.returncode:
            said = f"{done.stdout}{done.stderr}".strip()
            raise PulseError(f"{_line(command)} on {self.name} ended with {done.returncode}:\n{said}")
        return Output(done.returncode, done.stdout, done.stderr)

    def call(self, command: Sequence[str]) -> int:
        """Run a command here on the terminal of this program, without a limit; returns its exit code."""
        return subprocess.run(self.inside(command), check=False, env=self._environment(None)).returncode

    def popen(self, command: Sequence[str], *, environment: Mapping[str, str] | None = None) -> Running:
        """Start a program here that goes on; the lab ends it."""
        log = self.directory / f"{len(self._started)}-{Path(command[0]).name}.log"
        with log.open("wb") as output:
            process = subprocess.Popen(
                self.inside(command),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env=self._environment(environment),
                start_new_session=True,
            )
        self.state.add_process(process.pid)
        self._started.append(Running(process, log))
        return self._started[-1]

    def reap(self) -> None:
        """Take note of the end of every program started here; all have ended, or will at once."""
        for running in self._started:
            running.wait()

    def pulse(self, *arguments: str, check: bool = True, timeout: float = PATIENCE, stdin: str = "") -> Output:
        """Run a command of this pulse here, on the host's own data directory. Raises PulseError as `run` does."""
        return self.run(self.pulse_command(*arguments), check=check, timeout=timeout, stdin=stdin)

    def pulse_command(self, *arguments: str) -> list[str]:
        """Word the command line of this pulse for this host."""
        return program("pulse", *arguments, "--data-dir", str(self.data))

    def inside(self, command: Sequence[str]) -> list[str]:
        """Word a command so that it runs in this host's network and under its name; its process id stays the same."""
        return entering(self.namespace, self.name, self.directory, command)

    def _environment(self, more: Mapping[str, str] | None) -> dict[str, str]:
        return {**environment_of(self.directory), **(more or {})}


def data_of(directory: Path) -> Path:
    """Name the data directory of the pulse whose host has its files in `directory`."""
    return directory / "pulse"


def environment_of(directory: Path) -> dict[str, str]:
    """Our variables, but with `directory` for a home, and pulse settings of the host's own only.

    Found first on the way to programs is this pulse, last are the system's own, which ordinary users lack.
    """
    ours = {name: value for name, value in os.environ.items() if not name.startswith("PULSE_")}
    path = ":".join([str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath), "/usr/sbin", "/sbin"])
    return {**ours, "HOME": str(directory), "PATH": path, "PULSE_DATA_DIR": str(data_of(directory))}


def entering(namespace: str, name: str, directory: Path, command: Sequence[str]) -> list[str]:
    """Word a command so that it runs in a namespace, under a host name, with that host's /etc/hosts."""
    hosts = str(directory / HOSTS_FILE)
    return ["ip", "netns", "exec", namespace, "unshare", "--uts", "--", "sh", "-ec", _ENTER, name, hosts, *command]


def wait_until(true: Callable[[], object], what: str, timeout: float = PATIENCE) -> None:
    """Ask again and again until the answer is true. Raises PulseError, naming what did not come, after `timeout` s."""
    end = time.monotonic() + timeout
    while not true():
        if time.monotonic() > end:
            raise PulseError(f"waited {timeout:g} s in vain: {what}")
        time.sleep(0.05)


def _line(command: Sequence[str] | str) -> str:
    return command if isinstance(command, str) else " ".join(command)
