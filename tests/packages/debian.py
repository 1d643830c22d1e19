"""A bare Debian that runs: debootstrapped, booted by its own systemd in namespaces of its own.

Invariant: nothing of it is seen on the machine outside, and all of it ends with `stop`.
"""

import os
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self

from pulse.errors import PulseError
from pulse.lab.host import wait_until

TOOLS: Final = Path(__file__).parents[2] / "tools"
PATIENCE: Final = 300.0

_BOOT: Final = """
mount --make-rprivate /
mount --bind "$1" "$1"
cd "$1"
mount -t proc proc proc
mount -t sysfs sysfs sys
mount -t cgroup2 cgroup2 sys/fs/cgroup
mount -t tmpfs -o mode=755 tmpfs dev
mkdir dev/net dev/shm
for node in null zero full random urandom tty; do touch "dev/$node"; mount --bind "/dev/$node" "dev/$node"; done
mknod -m 666 dev/net/tun c 10 200
ln -s /proc/self/fd dev/fd
mount -t tmpfs tmpfs run
mount -t tmpfs tmpfs tmp
ip link set lo up
exec env -i container=other PATH=/usr/sbin:/usr/bin:/sbin:/bin chroot "$1" /lib/systemd/systemd --unit=multi-user.target
"""

_ENTER: Final = 'echo $$ > "$0/cgroup.procs"; exec unshare --fork --kill-child=KILL "$@"'
_SPACES: Final = ("--mount", "--pid", "--net", "--uts", "--ipc", "--cgroup")


@dataclass(slots=True)
class Debian:
    """One machine; `root` is its file system as seen from outside."""

    root: Path
    group: Path
    """The control group that it sees as its whole tree."""
    keeper: subprocess.Popen[bytes] | None = None

    @classmethod
    def bootstrapped(cls, suite: str, packages: str) -> Self:
        """With these packages beside the fewest there can be. Raises PulseError."""
        root = Path(os.environ.get("DEBIAN_ROOT") or tempfile.mkdtemp(prefix="pulse-debian.", dir="/var/tmp"))
        root.chmod(0o755)
        with _log_of(root).open("w+b") as log:
            command = [str(TOOLS / "bootstrap.sh"), suite, str(root), packages]
            done = subprocess.run(command, stdout=log, stderr=log, check=False)
            if done.returncode:
                log.seek(0)
                raise PulseError(f"no Debian could be made: {log.read().decode()[-2000:]}")
        return cls(root, _unified() / f"pulse-debian-{os.getpid()}")

    def apt(self, *arguments: str) -> str:
        """With the network of the machine outside, and nothing started: what must not be known is not running yet."""
        quiet = {"DEBIAN_FRONTEND": "noninteractive", "PATH": "/usr/sbin:/usr/bin:/sbin:/bin"}
        kept = {name: value for name, value in os.environ.items() if "proxy" in name.lower()}
        command = ["chroot", str(self.root), "apt-get", "-qq", "-y", "--no-install-recommends", *arguments]
        return _said(command, kept | quiet)

    def boot(self) -> None:
        """Returns when its systemd has started all it starts."""
        self.group.mkdir()
        command = ["sh", "-ec", _ENTER, str(self.group), *_SPACES, "--", "sh", "-ec", _BOOT, "sh", str(self.root)]
        self.keeper = subprocess.Popen(command, stdin=subprocess.DEVNULL)
        wait_until(self._is_up, "Debian runs", PATIENCE)

    def runs(self, *command: str) -> str:
        """What a command says in there. Raises PulseError, with all it said, if it fails."""
        return _said([*self._inside(), *command], {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "HOME": "/root"})

    def tries(self, *command: str) -> str:
        """What a command that may fail says."""
        try:
            return self.runs(*command)
        except PulseError as error:
            return str(error)

    def path(self, inner: str) -> Path:
        """A file of it, from outside."""
        return self.root / inner.lstrip("/")

    def stop(self) -> None:
        """End it and remove it."""
        if self.keeper is not None:
            self.keeper.kill()  # whose children go with it: --kill-child
            self.keeper.wait()
            wait_until(lambda: not self._members(), "all of Debian is gone", PATIENCE)
            _remove_groups(self.group)
        if "DEBIAN_ROOT" not in os.environ:
            shutil.rmtree(self.root)
            _log_of(self.root).unlink()

    # Details

    def _members(self) -> str:
        groups = [self.group, *self.group.rglob("*")]
        return "".join((each / "cgroup.procs").read_text(encoding="ascii") for each in groups if each.is_dir())

    def _inside(self) -> list[str]:
        first = self._first()
        return [
            "nsenter",
            f"--target={first}",
            *_SPACES,
            f"--root=/proc/{first}/root",
            f"--wd=/proc/{first}/root",
            "--",
        ]

    def _is_up(self) -> bool:
        try:
            # Degraded: some unit wants what namespaces have not, such as kernel modules to load.
            return self.runs("systemctl", "show", "--property=SystemState", "--value") in ("running\n", "degraded\n")
        except PulseError:
            return False

    def _first(self) -> int:
        """Its process 1, by the number it has outside. Raises PulseError before there is one in its own root."""
        assert self.keeper is not None
        children = Path(f"/proc/{self.keeper.pid}/task/{self.keeper.pid}/children").read_text(encoding="ascii").split()
        if not children or Path(f"/proc/{children[0]}/root").readlink() != self.root:
            raise PulseError("Debian does not run")
        return int(children[0])


def _log_of(root: Path) -> Path:
    return root.with_name(f"{root.name}.log")


def _unified() -> Path:
    mounts = (line.split() for line in Path("/proc/self/mounts").read_text(encoding="utf-8").splitlines())
    found = next((Path(words[1]) for words in mounts if words[2] == "cgroup2"), None)
    if found is None:
        raise PulseError("this machine has no cgroup2, which systemd wants")
    return found


def _remove_groups(group: Path) -> None:
    for each in sorted((path for path in group.rglob("*") if path.is_dir()), reverse=True):
        each.rmdir()
    group.rmdir()


def _said(command: list[str], environment: dict[str, str]) -> str:
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=PATIENCE)
    if done.returncode:
        raise PulseError(f"{' '.join(command)} ended with {done.returncode}:\n{done.stdout}{done.stderr}")
    return done.stdout
