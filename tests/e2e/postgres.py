"""A real PostgreSQL on a lab host, and psql for those who ask it.

Invariant: its files are in the host's own directory; nothing of the machine's own clusters is read or changed.
"""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import pytest

from pulse.lab.host import Host, wait_until
from tests.e2e.machine import PROGRAMS, UNPACKED, Machine
from tests.e2e.mesh import PATIENCE

_READS_ALL: Final = "-all,+dac_override,+dac_read_search"

# The server wants to be no root; what it is made of, and the host's directory, may be closed to all others.
_NO_ROOT: Final = (
    *("setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups"),
    *(f"--inh-caps={_READS_ALL}", f"--ambient-caps={_READS_ALL}", "--"),
)

_ACCESS: Final = "host all all 127.0.0.1/32 trust\nhost all all samenet trust\n"
"""Its pg_hba.conf: whoever comes from a network of the host, the mesh among them."""

_SETTINGS: Final = ("listen_addresses=*", "unix_socket_directories=", "jit=off", "fsync=off")


def program(name: str) -> Path:
    """The newest one there is, installed or unpacked by tools/setup.sh."""
    trees = (Path("/"), *UNPACKED.glob("postgresql-*"))
    found = [each for tree in trees for each in tree.glob(f"usr/lib/postgresql/*/bin/{name}")]
    if not found:
        pytest.skip(f"needs {name} of PostgreSQL: tools/setup.sh test")
    return max(found, key=lambda each: int(each.parts[-3]))


def has_psql(machine: Machine) -> None:
    """People of that machine can type psql."""
    machine.path(f"{PROGRAMS}/psql").symlink_to(program("psql"))


@contextmanager
def postgres(host: Host, user: str) -> Iterator[None]:
    """Let it listen at all addresses of the host, with a database for that user."""
    server, files = str(program("postgres")), str(host.directory / "postgres")
    made = [str(program("initdb")), "--no-sync", "--no-locale", "--encoding=UTF8", "--username=postgres", files]
    host.run([*_NO_ROOT, *made])
    (Path(files) / "pg_hba.conf").write_text(_ACCESS, encoding="ascii")
    said = f"CREATE ROLE {user} LOGIN;\n\nCREATE DATABASE {user} OWNER {user};\n\n"
    host.run([*_NO_ROOT, server, "--single", "-j", "-D", files, "postgres"], stdin=said)
    settings = [word for each in _SETTINGS for word in ("-c", each)]
    running = host.popen([*_NO_ROOT, server, "-D", files, *settings])
    wait_until(lambda: "ready to accept connections" in running.text(), "PostgreSQL listens", PATIENCE)
    yield
    assert running.stop(signal.SIGINT) == 0, running.text()
