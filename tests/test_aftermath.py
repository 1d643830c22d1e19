"""What a node that is gone left is put back without one, and nothing else is touched."""

import subprocess
from ipaddress import IPv4Network
from pathlib import Path

import pytest

from pulse import aftermath
from pulse.core.effects import Owner, RangeServed, RangeUse, TablesChanged
from pulse.errors import Conflict
from pulse.net import sysctl
from pulse.services.exitnode import ExitNodeService
from pulse.services.exits import ExitsService
from pulse.store import undo
from pulse.store.files import lock
from tests.core.meshing import ALICE, ME
from tests.namespace import inside, ip, namespace

FORWARD = "net/ipv4/ip_forward"
SERVED = (RangeServed("192.168.7.0/24", "192.168.7.0/24"),)
TABLES = TablesChanged({}, (Owner("192.168.7.0/24", ME.node_id),), (RangeUse("0.0.0.0/0", ALICE.node_id),), SERVED)


async def never(*_: object) -> bytes:
    raise AssertionError


def crashed(name: str, data: Path) -> None:
    """A client and an exit ran there, and are gone without a word."""
    ip(name, "tuntap", "add", "pulse0", "mode", "tun")
    ip(name, "link", "set", "pulse0", "up")
    ExitsService(never, lambda _: None, lambda: "pulse0", True, data).prepare(TABLES)
    ExitNodeService(data, ME, lambda: IPv4Network("10.100.0.0/16"), lambda: "pulse0").prepare(TABLES)
    ip(name, "link", "delete", "pulse0")


def state(name: str) -> tuple[bool, str, str | None]:
    """Whether rules lead to our table, the firewalls there are, and whether the kernel forwards."""
    tables = subprocess.run(["ip", "netns", "exec", name, "nft", "list", "tables"], check=True, capture_output=True)
    return "28789" in ip(name, "rule"), tables.stdout.decode().strip(), sysctl.read(FORWARD)


def test_all_that_was_left_is_put_back_once(tmp_path: Path) -> None:
    with namespace() as name, inside(name):
        crashed(name, tmp_path)
        assert state(name) == (True, "table inet pulse", "1")

        assert aftermath.put_back(tmp_path)
        assert state(name) == (False, "", "0")
        assert undo.load(tmp_path) == ([], None)
        assert not aftermath.put_back(tmp_path)


def test_while_a_node_runs_there_nothing_is_touched(tmp_path: Path) -> None:
    with namespace() as name, inside(name):
        crashed(name, tmp_path)
        with lock(tmp_path), pytest.raises(Conflict, match="another pulse"):
            aftermath.put_back(tmp_path)
        assert state(name) == (True, "table inet pulse", "1")
