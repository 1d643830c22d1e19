"""Another user of the machine on which a CA runs (uid 65534): no control, no keys, nothing in argv or environment.

The first tests ask the running daemon; the last ones spoil its data directory, and start it again in vain.
"""

import json
import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from pulse.errors import Refused
from pulse.lab.lab import Lab
from pulse.lab.plan import HostPlan, Plan
from tests.e2e.mesh import Node
from tests.namespace import require_root
from tests.people import NOBODY, becoming

ALONE = Plan(hosts={"a": HostPlan()})
MASTER = "a-secret-of-32-characters-or-more"
API = "127.0.0.1:8080"
START = ("--ca", "--scribe", "--network", "test", "--scribe-listen", API)

NEEDS = "import encodings.idna, http.client, json, os, socket, sys"

LOOK = """
def tries(act):
    try:
        return repr(act())
    except OSError as error:
        return error.strerror

def asks(method, path):
    server = http.client.HTTPConnection(API, timeout=10)
    server.request(method, path, "{}", {"Content-Type": "application/json"})
    return server.getresponse().status

data, pid, API = sys.argv[1:4]
process = f"/proc/{pid}"
looks = {path: lambda path=path: open(path, "rb").read(64) for path in sys.argv[4:]}
looks |= {f"{process}/{name}": lambda name=name: open(f"{process}/{name}", "rb").read(64)
    for name in ("environ", "mem", "maps", "syscall", "auxv")}
looks |= {f"{process}/{name}": lambda name=name: os.listdir(f"{process}/{name}") for name in ("fd", "cwd", "root")}
looks |= {"list": lambda: os.listdir(data), "write": lambda: open(f"{data}/new", "wb")}
looks |= {"signal": lambda: os.kill(int(pid), 0)}
looks |= {"socket": lambda: socket.socket(socket.AF_UNIX).connect(f"{data}/pulse.sock")}
looks |= {f"{method} {path}": lambda method=method, path=path: asks(method, path) for method, path in (
    ("GET", "/api/status"), ("POST", "/api/stop"), ("GET", "/api/tokens"), ("POST", "/api/tokens"),
    ("GET", "/api/nothing"))}
print(json.dumps({name: tries(look) for name, look in looks.items()}))
"""
"""What it tries, and what comes of each: the reason why not, or what it got."""

DENIED = {"Permission denied", "Operation not permitted"}
WITHOUT_KEY = "401"


@pytest.fixture(scope="module")
def node() -> Iterator[Node]:
    """A CA and scribe whose master token was typed on its command line, in a place that anybody may look into."""
    require_root()
    with Lab(ALONE) as lab, ExitStack() as stack:
        made = Node(lab["a"])
        made.start(*START, "--token", MASTER)
        for parent in made.host.data.parents[:-2]:
            stack.enter_context(loosened(parent, 0o755))
        yield made
        assert " ERROR " not in made.log


def seen_by_nobody(node: Node) -> dict[str, str]:
    """What another user gets."""
    secrets = sorted(str(path) for path in node.host.data.rglob("*") if path.is_file())
    assert {"key.pem", "key", "ledger.sqlite", "lock"} <= {Path(path).name for path in secrets}
    command = becoming(NOBODY, NEEDS, LOOK, str(node.host.data), str(node.pid), API, *secrets)
    seen: dict[str, str] = json.loads(node.host.run(command).stdout)
    return seen


def test_another_user_gets_at_no_file_no_memory_and_no_command(node: Node) -> None:
    seen = seen_by_nobody(node)

    asked = {name: got for name, got in seen.items() if name.startswith(("GET", "POST"))}
    assert set(asked.values()) == {WITHOUT_KEY}
    assert {name: got for name, got in seen.items() if name not in asked and got not in DENIED} == {}
    assert node.status().well


def test_the_control_socket_refuses_another_user_though_the_files_let_it_in(node: Node) -> None:
    """The kernel says who is there, so a mode that somebody loosened by mistake opens nothing."""
    socket = node.host.data / "pulse.sock"
    ask = "c = Client(Path(sys.argv[1]))\ntry: print(c.status())\nexcept PulseError as e: print(type(e).__name__, e)"
    needs = "import sys\nfrom pathlib import Path\nfrom pulse.client import Client\nfrom pulse.errors import PulseError"

    with loosened(node.host.data, 0o711), loosened(socket, 0o666):
        said = node.host.run(becoming(NOBODY, needs, ask, str(socket))).stdout

    assert said.startswith("Refused this node belongs to uid 0, and uid 65534 may not control it.\nUse sudo")
    assert node.status().well


def test_no_secret_is_in_argv_or_environment(node: Node) -> None:
    """Even root sees none: another user may look at the first, and a crash report may hold the second."""
    process = Path("/proc", str(node.pid))
    shown = (process / "cmdline").read_bytes() + (process / "environ").read_bytes()

    assert MASTER.encode() not in shown
    assert node.host.pulse("token").stdout.startswith(MASTER)


@contextmanager
def loosened(path: Path, mode: int) -> Iterator[None]:
    """Meanwhile others may do that with it."""
    before = path.stat().st_mode
    path.chmod(mode)
    try:
        yield
    finally:
        path.chmod(before)


# A data directory that somebody else had their hands in


@pytest.fixture(scope="module")
def stopped(node: Node) -> Node:
    """The same, not running any more."""
    node.stop()
    return node


def linked(path: Path) -> None:
    """It lies elsewhere, and a symbolic link leads there."""
    elsewhere = path.parent.parent.parent / f"elsewhere-{path.name}"
    path.rename(elsewhere)
    path.symlink_to(elsewhere)


def unlinked(path: Path) -> None:
    """As it was."""
    target = path.readlink()
    path.unlink()
    target.rename(path)


def mode(bits: int) -> Callable[[Path], None]:
    """Others may do that with it."""
    return lambda path: path.chmod(bits)


def owned_by(uid: int) -> Callable[[Path], None]:
    """It is theirs."""
    return lambda path: os.chown(path, uid, uid)


SPOILED: dict[str, tuple[str, Callable[[Path], None], Callable[[Path], None], str]] = {
    "a key that is a link": ("identity/key.pem", linked, unlinked, "symbolic link"),
    "a key anybody can read": ("identity/key.pem", mode(0o604), mode(0o600), "chmod 600"),
    "a CA key of another user": ("ca/key", owned_by(NOBODY), owned_by(0), f"uid {NOBODY}"),
    "an identity that is a link": ("identity", linked, unlinked, "symbolic link"),
    "a log that is a link": ("pulse.log", linked, unlinked, "symbolic link"),
}
"""What a start meets first of each kind; every other file is read by the same words (`tests/store/test_files.py`)."""


@pytest.mark.parametrize(("name", "spoil", "mend", "words"), SPOILED.values(), ids=SPOILED)
def test_a_data_directory_others_had_their_hands_in_is_not_used(
    stopped: Node, name: str, spoil: Callable[[Path], None], mend: Callable[[Path], None], words: str
) -> None:
    path = Path(os.path.normpath(stopped.host.data / name))
    spoil(path)
    try:
        tried = stopped.tries("start", *START)
    finally:
        mend(path)

    assert (tried.code, "Traceback" in tried.stderr) == (Refused.exit_code, False), tried
    assert str(path) in tried.stderr
    assert words in tried.stderr
    assert not (stopped.host.data / "pulse.sock").exists()
