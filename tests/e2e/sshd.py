"""A real sshd on a lab host, and the ssh that is let in there.

Invariant: keys and settings are in the host's own directory; nothing of the machine's own sshd is read or changed.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from pulse.lab.host import Host, wait_until
from tests.e2e.mesh import PATIENCE

SETTINGS = """
Port {port}
{listen}
HostKey {place}/host
AuthorizedKeysFile {place}/key.pub
StrictModes no
UsePAM no
PermitRootLogin yes
PidFile none
"""

QUIET = ("BatchMode=yes", "StrictHostKeyChecking=no", "UserKnownHostsFile=/dev/null", "LogLevel=ERROR")


@dataclass(frozen=True, slots=True)
class Sshd:
    """One that runs."""

    key: Path
    """Whose holder is let in."""
    port: int

    def command(self, destination: str, *more: str, proxy: str = "") -> list[str]:
        """Ssh to it, as the destination is called there; through a ProxyCommand, if one is given."""
        settings = (*QUIET, f"ProxyCommand={proxy}") if proxy else QUIET
        options = [word for each in settings for word in ("-o", each)]
        return ["ssh", "-F", "none", *options, "-i", str(self.key), "-p", str(self.port), destination, *more]


@contextmanager
def sshd(host: Host, port: int = 22, address: str = "") -> Iterator[Sshd]:
    """Let it listen on that host; at all its addresses, unless one is given."""
    place = host.directory / "ssh"
    place.mkdir()
    for name in ("host", "key"):
        host.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(place / name)])
    listen = f"ListenAddress {address}" if address else ""
    (place / "config").write_text(SETTINGS.format(place=place, port=port, listen=listen), encoding="utf-8")
    # It wants this directory of the machine, even if another test's has it at the same time.
    Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)
    running = host.popen(["/usr/sbin/sshd", "-D", "-e", "-f", str(place / "config")])
    wait_until(lambda: "listening" in running.text(), "sshd listens", PATIENCE)
    yield Sshd(place / "key", port)
