"""A lab host with a machine's own resolver on it: a bus, systemd-resolved, openresolv or dnsmasq, in mounts of its own.

Invariant: /run and /etc there are copies, so nothing of it is seen on the machine where the test runs.
"""

import os
import shutil
import signal
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Final

import pytest

from pulse.lab.host import Host, Running, wait_until

UNPACKED: Final = Path(__file__).parents[2] / ".venv" / "unpacked"
"""Where tools/setup.sh unpacks Debian packages that must not be installed."""

PATIENCE: Final = 30.0
PROGRAMS: Final = "/run/programs"

_KEEPER: Final = """
mount -t tmpfs tmpfs /mnt
mkdir -p "/mnt/${0#/run/}"
case "$0" in /run/*) mount --bind "$0" "/mnt/${0#/run/}" ;; esac
mount --rbind /mnt /run
mkdir -p /run/etc /run/dbus /run/lock /run/programs
cp -a /etc/. /run/etc/ || true # a file that somebody just replaces is not missed
mount --bind /run/etc /etc
rm -f /etc/resolv.conf
grep -q '^systemd-resolve:' /etc/passwd || echo 'systemd-resolve:x:996:996::/:/usr/sbin/nologin' >> /etc/passwd
grep -q '^systemd-resolve:' /etc/group || echo 'systemd-resolve:x:996:' >> /etc/group
touch /run/made
exec sleep infinity
"""

_BUS: Final = """<busconfig><type>system</type><listen>unix:path=/run/dbus/system_bus_socket</listen>
<auth>EXTERNAL</auth>
<policy context="default"><allow user="*"/><allow own="*"/><allow send_destination="*"/><allow receive_sender="*"/>
</policy></busconfig>
"""

_RESTART: Final = """#!/bin/sh
# In the place of systemd, which cannot run here: ends systemd-resolved and starts it anew.
[ "$*" = "restart systemd-resolved" ] || exit 1
kill "$(cat /run/resolved.pid)"
while readlink "/proc/$(cat /run/resolved.pid)/exe" >/dev/null; do sleep 0.05; done
setsid /run/programs/systemd-resolved </dev/null >>/run/resolved.log 2>&1 &
"""

_STARTED: Final = """#!/bin/sh
echo $$ > /run/resolved.pid
mkdir -p /run/systemd/resolve
chown systemd-resolve:systemd-resolve /run/systemd/resolve
exec env LD_LIBRARY_PATH={libraries} {program}
"""


def require(*packages: str) -> None:
    """Skip the test where a package could not be had."""
    for package in packages:
        if not (UNPACKED / package).is_dir():
            pytest.skip(f"needs {package} unpacked: tools/setup.sh test")


@dataclass(slots=True)
class Machine(Host):
    """The host, seen from inside its mounts."""

    keeper: int = 0

    @classmethod
    def on(cls, host: Host) -> "Machine":
        """Make the mounts."""
        kept = host.popen(["sh", "-ec", _KEEPER, str(host.directory)])
        machine = cls(**{each.name: getattr(host, each.name) for each in fields(host) if each.init})
        machine.keeper = kept.process.pid
        wait_until(lambda: machine.sees("/run/made"), f"{host.name} has mounts of its own", PATIENCE)
        return machine

    def inside(self, command: Sequence[str]) -> list[str]:
        """In the network and under the name of the host, and in these mounts."""
        inner = (
            ["nsenter", "--target", str(self.keeper), "--mount", "--uts", "--", *command] if self.keeper else command
        )
        return Host.inside(self, inner)

    def _environment(self, more: Mapping[str, str] | None) -> dict[str, str]:
        # Not super(): with slots the class is made anew, and it would be lost.
        inherited = Host._environment(self, more)
        return {**inherited, "PATH": f"{PROGRAMS}:{inherited['PATH']}"}

    def path(self, inner: str) -> Path:
        """A file of these mounts, from outside."""
        return Path(f"/proc/{self.keeper}/root{inner}")

    def sees(self, inner: str) -> bool:
        """True if there is such a file."""
        return self.path(inner).exists()

    def write(self, inner: str, text: str, mode: int = 0o644) -> None:
        """Have a file here."""
        self.path(inner).write_text(text, encoding="utf-8")
        self.path(inner).chmod(mode)

    def files(self, inner: str) -> dict[str, tuple[int, object]]:
        """Mode and content of all there is under a directory."""
        top = self.path(inner)
        return {str(each.relative_to(top)): (each.lstat().st_mode, _content(each)) for each in top.rglob("*")}

    # Resolvers

    def start_resolved(self) -> None:
        """systemd-resolved with a bus of its own; programs ask its stub."""
        require("systemd-resolved", "libsystemd-shared")
        libraries = next((UNPACKED / "libsystemd-shared").glob("usr/lib/*/systemd"))
        root = UNPACKED / "systemd-resolved"
        self.write("/run/bus.conf", _BUS)
        self.write(f"{PROGRAMS}/systemctl", _RESTART, 0o755)
        started = _STARTED.format(libraries=libraries, program=_program(root, "systemd-resolved"))
        self.write(f"{PROGRAMS}/systemd-resolved", started, 0o755)
        asking = f'#!/bin/sh\nexec env LD_LIBRARY_PATH={libraries} {_program(root, "resolvectl")} "$@"\n'
        self.write(f"{PROGRAMS}/resolvectl", asking, 0o755)
        self.popen(["dbus-daemon", "--config-file=/run/bus.conf", "--nofork"])
        wait_until(lambda: self.sees("/run/dbus/system_bus_socket"), "there is a bus", PATIENCE)
        self.path("/etc/resolv.conf").symlink_to("/run/systemd/resolve/stub-resolv.conf")
        self.popen(["systemd-resolved"])
        self.wait_resolved()

    def restart_resolved(self) -> None:
        """As an upgrade of it would."""
        before = self.path("/run/systemd/resolve/io.systemd.Resolve").stat().st_ino
        self.run(["systemctl", "restart", "systemd-resolved"])
        socket = self.path("/run/systemd/resolve/io.systemd.Resolve")
        wait_until(lambda: socket.exists() and socket.stat().st_ino != before, "resolved is back", PATIENCE)
        self.wait_resolved()

    def stop_resolved(self) -> None:
        """End it."""
        resolved = int(self.path("/run/resolved.pid").read_text(encoding="ascii"))
        os.kill(resolved, signal.SIGTERM)
        wait_until(lambda: not Path(f"/proc/{resolved}/fd/0").exists(), "resolved is gone", PATIENCE)

    def wait_resolved(self) -> None:
        """Until it answers."""
        wait_until(self.answers_bus, "systemd-resolved answers", PATIENCE)

    def answers_bus(self) -> bool:
        """True if resolved answers."""
        return self.run(["resolvectl", "dns"], check=False).code == 0

    def resolvectl(self, *arguments: str) -> str:
        """What it says."""
        return self.run(["resolvectl", *arguments], check=False).stdout

    def start_openresolv(self) -> Running:
        """openresolv, which writes the configuration of a dnsmasq that programs ask."""
        require("openresolv", "dnsmasq-base")
        root = UNPACKED / "openresolv"
        self.path("/run/lib").mkdir()
        shutil.copytree(root / "lib/resolvconf", self.path("/run/lib/resolvconf"))
        for each in ("sbin/resolvconf", *(f"lib/resolvconf/{name}" for name in ("dnsmasq", "libc"))):
            text = (root / each).read_text(encoding="utf-8")
            here = f"{PROGRAMS}/resolvconf" if each.startswith("sbin") else f"/run/{each}"
            moved = text.replace("LIBEXECDIR=/lib/resolvconf", "LIBEXECDIR=/run/lib/resolvconf")
            self.write(here, moved.replace("/sbin/resolvconf", f"{PROGRAMS}/resolvconf"), 0o755)
        self.write(
            "/etc/resolvconf.conf",
            "name_servers=127.0.0.1\ndnsmasq_conf=/run/dnsmasq.conf\ndnsmasq_resolv=/run/dnsmasq-resolv.conf\n"
            f"dnsmasq_restart='{PROGRAMS}/restart-dnsmasq'\n",
        )
        self.write("/run/dnsmasq.conf", "")
        self.write("/run/dnsmasq-resolv.conf", "")
        shutil.copy(_program(UNPACKED / "dnsmasq-base", "dnsmasq"), self.path(f"{PROGRAMS}/dnsmasq"))
        command = (
            "dnsmasq --keep-in-foreground --user=root --conf-file=/run/dnsmasq.conf --cache-size=0"
            " --resolv-file=/run/dnsmasq-resolv.conf --listen-address=127.0.0.1 --bind-interfaces"
            " --pid-file=/run/dnsmasq.pid"
        )
        self.write(f"{PROGRAMS}/restart-dnsmasq", "#!/bin/sh\nkill $(cat /run/dnsmasq.pid)\n", 0o755)
        self.run(["resolvconf", "-u"])
        return self.popen(["sh", "-c", f"while {command} || sleep 0.2; do :; done"])


def _content(path: Path) -> object:
    if path.is_symlink():
        return path.readlink()
    return path.read_bytes() if path.is_file() else b""


def _program(root: Path, name: str) -> Path:
    """Distributions before and after the merge of /usr have it elsewhere."""
    return next(each for each in root.rglob(name) if each.is_file() and os.access(each, os.X_OK))
