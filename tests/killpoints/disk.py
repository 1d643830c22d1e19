"""A small disk of its own for a data directory, which can be full, read-only, or broken.

Invariant: what is mounted here is unmounted when the block ends, and no other disk is touched.
"""

import os
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

MEBIBYTES = 16
PAGE = 4096
WRITES = ("pwrite64", "fsync", "fdatasync", "rename", "ftruncate")
"""What a broken disk answers with an error."""


@dataclass(frozen=True, slots=True)
class Disk:
    """A disk in memory, mounted."""

    place: Path

    @contextmanager
    def full(self, _: int, but_for: int = 0) -> Iterator[None]:
        """Not a byte more fits on it, `but_for` so many pages."""
        ballast = self.place / "ballast"
        with ballast.open("wb") as file:
            with suppress(OSError):
                while True:
                    # By pages, so that not even a small file finds room.
                    os.write(file.fileno(), bytes(PAGE))
            file.truncate(max(0, file.tell() - but_for * PAGE))
        try:
            yield
        finally:
            ballast.unlink()

    @contextmanager
    def read_only(self, _: int) -> Iterator[None]:
        """Nothing can be made, renamed or removed on it; files that are open already can still be written."""
        _mount("--bind", self.place, self.place)
        try:
            _mount("-o", "remount,ro,bind", self.place)
            yield
        finally:
            subprocess.run(["umount", "--lazy", self.place], check=True)

    @contextmanager
    def broken(self, process: int) -> Iterator[None]:
        """Every write of that process fails as those to a dying disk do."""
        calls = ",".join(WRITES)
        command = ["strace", "-f", "-q", "-o", "/dev/null", "-e", f"trace={calls}", "-e", "signal=none"]
        command += ["-e", f"inject={calls}:error=EIO", "-p", str(process)]
        with subprocess.Popen(["strace", *command[1:]], stderr=subprocess.PIPE, text=True) as strace:
            _wait_traced(process)
            try:
                yield
            finally:
                strace.send_signal(signal.SIGINT)
                strace.wait(10)


@contextmanager
def disk() -> Iterator[Disk]:
    """A new one."""
    with tempfile.TemporaryDirectory(prefix="disk-", dir="/tmp") as named:
        place = Path(named)
        _mount("-t", "tmpfs", "-o", f"size={MEBIBYTES}m,mode=700", "tmpfs", place)
        try:
            yield Disk(place)
        finally:
            subprocess.run(["umount", "--lazy", place], check=True)


def _mount(*arguments: str | Path) -> None:
    subprocess.run(["mount", *arguments], check=True)


def _wait_traced(process: int) -> None:
    """All its threads are watched by now."""
    while True:
        tasks = [*Path(f"/proc/{process}/task").iterdir()]
        if all("TracerPid:\t0\n" not in (task / "status").read_text(encoding="utf-8") for task in tasks):
            return
