"""What a lab made on this machine, written down before it is made, so that a crash leaves nothing that has no owner.

Invariant: only what stands in a state file is ever taken away, and a process only while it is the one that was
recorded (its number and the moment it started). One directory per lab: `<root>/<lab>/state.json` beside hosts' files.
"""

import os
import secrets
import shutil
import signal
from collections.abc import Iterable
from pathlib import Path
from typing import Final

import msgspec

from pulse.errors import Conflict, SystemRefused

STATE_ROOT: Final = Path("/run/pulse-lab")


class Process(msgspec.Struct, frozen=True):
    """A process that cannot be taken for another: numbers come back, but not with the same start (clock ticks)."""

    pid: int
    started: int


class Record(msgspec.Struct):
    """All of one lab: who keeps it, its namespaces by host, the processes it started."""

    name: str
    keeper: Process | None
    hosts: dict[str, str] = {}
    processes: list[Process] = []
    networks: list[tuple[str, ...]] = []
    """Who is on each, in order: the interfaces of hosts follow from it."""


class StateFile:
    """The record of one lab on disk; each change is there before the call returns."""

    def __init__(self, record: Record, root: Path = STATE_ROOT) -> None:
        self.record, self.directory = record, root / record.name

    def add_host(self, host: str, namespace: str) -> None:
        """Note a namespace that is about to be made."""
        self.record.hosts[host] = namespace
        self._write()

    def set_networks(self, networks: Iterable[tuple[str, ...]]) -> None:
        """Note who is joined to whom."""
        self.record.networks = list(networks)
        self._write()

    def add_process(self, pid: int) -> None:
        """Note a process that was just started; one that is gone already is not noted."""
        if process := identify(pid):
            self.record.processes = [*filter(is_alive, self.record.processes), process]
            self._write()

    def keep(self, keeper: Process | None) -> None:
        """Say who keeps the lab from now on; nobody means it stays until it is cleaned by name."""
        self.record.keeper = keeper
        self._write()

    def remove(self) -> None:
        """Take the lab's directory away: all it held is gone."""
        shutil.rmtree(self.directory, ignore_errors=True)

    def _write(self) -> None:
        draft = self.directory / "state.json.new"
        draft.write_bytes(msgspec.json.encode(self.record))
        draft.replace(self.directory / "state.json")


def create(root: Path = STATE_ROOT) -> StateFile:
    """Start the record of a new lab, kept by this process, under a name nobody else has. Raises Conflict."""
    record = Record(f"{os.getpid():x}-{secrets.token_hex(2)}", identify(os.getpid()))
    state = StateFile(record, root)
    try:
        state.directory.mkdir(mode=0o700, parents=True)
    except FileExistsError as error:
        raise Conflict(f"there is a lab {record.name} already, in {state.directory}.\nTry again.") from error
    state.keep(record.keeper)
    return state


def all_states(root: Path = STATE_ROOT) -> list[StateFile]:
    """List the records of all labs of this machine; a half-written one stands for a lab without hosts.

    Raises SystemRefused if one is another user's.
    """
    return [StateFile(_read(root / name), root) for name in all_names(root)]


def all_names(root: Path = STATE_ROOT) -> list[str]:
    """List the labs of this machine, whosever they are."""
    return sorted(path.name for path in root.glob("*") if path.is_dir())


def identify(pid: int) -> Process | None:
    """Name a process for good; None if there is none, or only what its parent has not taken note of yet."""
    try:
        after_name = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None
    return None if after_name[0] in "ZX" else Process(pid, int(after_name[19]))


def is_alive(process: Process) -> bool:
    """True while that very process runs."""
    return identify(process.pid) == process


def end(processes: Iterable[Process], number: signal.Signals) -> None:
    """Send a signal to those of the processes that still run."""
    for process in processes:
        if is_alive(process):
            try:
                os.kill(process.pid, number)
            except ProcessLookupError:
                continue


def _read(directory: Path) -> Record:
    try:
        return msgspec.json.decode((directory / "state.json").read_bytes(), type=Record)
    except (FileNotFoundError, msgspec.DecodeError):
        return Record(directory.name, None)
    except PermissionError as error:
        raise SystemRefused(
            f"lab {directory.name} is another user's, who alone may enter, watch and remove it.\n"
            "A lab that stays up is root's: run this with sudo."
        ) from error
