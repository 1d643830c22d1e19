"""A node without a terminal: how `pulse start` hands its settings to the process that stays, and hears how it fared.

    parent                       child (new session, standard streams in pulse.log)
    settings  -- its stdin -->
              <-- pipe ------    Step*, then Up or Failed; an end without either is a crash

Invariant: secrets pass through the pipe only, never through arguments, environment or a file.
"""

import contextlib
import errno
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Final, NoReturn

import msgspec

from pulse import errors, settings
from pulse.config import NodeConfig
from pulse.errors import PulseError, Refused
from pulse.flags import VARIABLES
from pulse.interpreter import program
from pulse.schemas.start import Started

COMMAND: Final = "detached"
LOG_NAME: Final = "pulse.log"


class Handover(msgspec.Struct, frozen=True):
    """What a process that is to be a node is told on its standard input."""

    config: NodeConfig
    layers: settings.Layers
    """Where the settings come from, to be read again."""
    logged: bool = True
    """It writes its log to a file, not to standard error."""


class Step(msgspec.Struct, frozen=True, tag="step"):
    """Something took time and is done."""

    text: str


class Up(msgspec.Struct, frozen=True, tag="up"):
    """The node runs."""

    started: Started


class Failed(msgspec.Struct, frozen=True, tag="failed"):
    """The node will not run; `error` is the name of a class in `pulse.errors`."""

    error: str
    text: str


_decoder: msgspec.json.Decoder[Step | Up | Failed] = msgspec.json.Decoder(Step | Up | Failed)


class Report:
    """The child's end of the pipe: silent once the node is up, and if nobody listens any more."""

    def __init__(self, descriptor: int) -> None:
        """Own the pipe's `descriptor`."""
        os.set_inheritable(descriptor, False)
        self._pipe: IO[bytes] | None = os.fdopen(descriptor, "wb", buffering=0)

    def step(self, text: str) -> None:
        """Tell that a step is done."""
        self._tell(Step(text))

    def up(self, started: Started) -> None:
        """Tell that the node is up, and hang up."""
        self._tell(Up(started))
        self.close()

    def failed(self, error: PulseError) -> None:
        """Tell why the node will not run, and hang up."""
        self._tell(Failed(type(error).__name__, str(error)))
        self.close()

    def close(self) -> None:
        """Hang up."""
        if self._pipe is not None:
            self._pipe.close()
            self._pipe = None

    def _tell(self, what: Step | Up | Failed) -> None:
        if self._pipe is not None:
            with contextlib.suppress(BrokenPipeError):
                self._pipe.write(msgspec.json.encode(what) + b"\n")


def hold_hangups() -> None:
    """SIGHUP waits until the node hears it: it asks for settings to be read, and must not end one that starts.

    On a terminal it says that nobody is there any more, and ends what has changed nothing yet.
    """
    if not os.isatty(2):
        signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGHUP,))


def spawn(config: NodeConfig, layers: settings.Layers, step: Callable[[str], None]) -> Started:
    """Start a node with these settings and wait until it is up; raises what it says, or PulseError if it crashed."""
    log = config.data_dir / LOG_NAME
    reader, writer = os.pipe()
    with os.fdopen(reader, "rb") as reports, _log_file(config.data_dir) as output:
        # The child has it from us, before its first line runs.
        before = signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGHUP,))
        try:
            child = subprocess.Popen(
                program("pulse", COMMAND, str(writer)),
                stdin=subprocess.PIPE, stdout=output, stderr=output,
                pass_fds=(writer,), start_new_session=True, env=_environment(),
            )  # fmt: skip
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
        os.close(writer)
        try:
            _hand_over(child, Handover(config, layers))
            return _wait(reports, child, log, step)
        except KeyboardInterrupt:
            child.terminate()
            raise


def receive() -> Handover:
    """The settings, as `spawn` or `become` wrote them to our standard input."""
    told = msgspec.json.decode(sys.stdin.buffer.read(), type=Handover)
    with open(os.devnull, encoding="utf-8") as nothing:
        os.dup2(nothing.fileno(), sys.stdin.fileno())
    return told


def become(told: Handover) -> NoReturn:
    """Execute pulse anew in this very process, so that a new release is loaded and whoever watches us sees one node."""
    given = os.memfd_create("pulse-settings", os.MFD_CLOEXEC)
    os.write(given, msgspec.json.encode(told))
    os.lseek(given, 0, os.SEEK_SET)
    os.dup2(given, sys.stdin.fileno())
    nobody = os.open(os.devnull, os.O_WRONLY)
    os.set_inheritable(nobody, True)
    sys.stdout.flush()
    command = program("pulse", COMMAND, str(nobody))
    os.execve(sys.executable, command, _environment())


def _hand_over(child: subprocess.Popen[bytes], told: Handover) -> None:
    if child.stdin is None:
        raise ValueError("the child was started without a pipe to its standard input")
    with contextlib.suppress(BrokenPipeError), child.stdin as pipe:
        pipe.write(msgspec.json.encode(told))


def _wait(reports: IO[bytes], child: subprocess.Popen[bytes], log: Path, step: Callable[[str], None]) -> Started:
    for line in reports:
        match _decoder.decode(line):
            case Step(text):
                step(text)
            case Up(started):
                return started
            case Failed(error, text):
                child.wait()
                raise getattr(errors, error, PulseError)(text)
    code = child.wait()
    how = f"signal {-code}" if code < 0 else f"exit code {code}"
    raise PulseError(f"the node ended before it was up ({how}).\nIts last words are in {log}")


def _environment() -> dict[str, str]:
    """Ours without the settings: they are merged already, and some are secret."""
    ours = {*VARIABLES, "PULSE_CONFIG"}
    return {name: value for name, value in os.environ.items() if name not in ours}


@contextlib.contextmanager
def _log_file(data_dir: Path) -> Iterator[int]:
    """The log to append to, private; the data directory is made if need be."""
    path = data_dir / LOG_NAME
    try:
        data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        owner = data_dir.stat().st_uid
        if owner != os.geteuid():
            raise Refused(f"{data_dir} belongs to another user (uid {owner}).\nGive --data-dir one of your own.")
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW
        descriptor = os.open(path, flags, 0o600)
        os.fchmod(descriptor, 0o600)
    except OSError as error:
        if error.errno == errno.ELOOP:
            raise Refused(f"{path} is a symbolic link.\nMove it away: pulse writes a file of its own there.") from error
        raise Refused(f"cannot use {data_dir}: {error.strerror}.\nGive --data-dir another one.") from error
    try:
        yield descriptor
    finally:
        os.close(descriptor)
