"""What a node that is gone left is put back without one, and nothing else is touched."""

import os
import subprocess
from collections.abc import Iterator
from ipaddress import IPv4Network
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from pulse import aftermath
from pulse.core.effects import Owner, RangeServed, RangeUse, TablesChanged
from pulse.errors import Conflict, Refused
from pulse.net import sysctl
from pulse.services.exitnode import ExitNodeService
from pulse.services.exits import ExitsService
from pulse.store import undo
from pulse.store.files import lock
from pulse.store.undo import Kind, Undo
from tests.core.meshing import ALICE, ME
from tests.namespace import inside, ip, namespace
from tests.services.test_exitnode import gone

SERVICE = 65534
"""User of a service."""
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
    exit_node = ExitNodeService(data, ME, lambda: IPv4Network("10.100.0.0/16"), lambda: "pulse0")
    exit_node.prepare(TABLES)
    gone(exit_node)
    ip(name, "link", "delete", "pulse0")


def state(name: str) -> tuple[bool, str, str | None]:
    """Whether rules lead to our table, the firewalls there are, and whether the kernel forwards."""
    tables = subprocess.run(["ip", "netns", "exec", name, "nft", "list", "tables"], check=True, capture_output=True)
    return "28789" in ip(name, "rule"), tables.stdout.decode().strip(), sysctl.read(FORWARD)


def test_all_that_was_left_is_put_back_once(tmp_path: Path) -> None:
    with namespace() as name, inside(name):
        crashed(name, tmp_path)
        assert state(name) == (True, "table inet pulse", "1")

        assert aftermath.put_back(tmp_path) == (
            "routing table 28789, and its rules",
            "the firewall inet pulse",
            "the setting net/ipv4/ip_forward",
        )
        assert state(name) == (False, "", "0")
        assert undo.load(tmp_path) == ([], None)
        assert not aftermath.put_back(tmp_path)


def test_forwarding_that_others_need_by_now_stays_and_is_told(tmp_path: Path) -> None:
    with namespace() as name, inside(name):
        crashed(name, tmp_path)
        subprocess.run(["iptables-nft", "-t", "nat", "-A", "POSTROUTING", "-j", "MASQUERADE"], check=True)

        assert "not the setting net/ipv4/ip_forward, for others forward by now" in aftermath.put_back(tmp_path)
        assert (sysctl.read(FORWARD), undo.load(tmp_path)) == ("1", ([], None))


def test_while_a_node_runs_there_nothing_is_touched(tmp_path: Path) -> None:
    with namespace() as name, inside(name):
        crashed(name, tmp_path)
        with lock(tmp_path), pytest.raises(Conflict, match="another pulse"):
            aftermath.put_back(tmp_path)
        assert state(name) == (True, "table inet pulse", "1")


def test_root_puts_back_what_a_service_left_and_leaves_it_its_files(open_dir: Path) -> None:
    with namespace() as name, inside(name):
        crashed(name, open_dir)
        given(open_dir)

        assert len(aftermath.put_back(open_dir)) == 3
        assert state(name) == (False, "", "0")
        assert {path.stat().st_uid for path in open_dir.rglob("*")} == {SERVICE}


@pytest.mark.parametrize(
    "evil",
    [
        Undo(Kind.SYSCTL, "kernel/core_pattern", "|/tmp/x", "core"),
        Undo(Kind.SYSCTL, "net/ipv4/conf/../../../kernel/core_pattern", "|/tmp/x", "core"),
        Undo(Kind.SYSCTL, "net/ipv4/conf/eth0/rp_filter", "0", "1"),
        Undo(Kind.FIREWALL, "filter"),
        Undo("openresolv", "../../etc/passwd"),
        Undo("systemd-resolved", "--help"),
    ],
)
def test_a_list_that_no_node_wrote_changes_nothing(open_dir: Path, evil: Undo) -> None:
    with namespace() as name, inside(name):
        crashed(name, open_dir)
        undo.add(open_dir, evil)
        given(open_dir)

        with pytest.raises(Refused, match="which no node sets: nothing is put back"):
            aftermath.put_back(open_dir)
        assert state(name) == (True, "table inet pulse", "1")


@pytest.fixture
def open_dir() -> Iterator[Path]:
    """A data directory to which the service's user finds."""
    with TemporaryDirectory(dir="/tmp") as place:
        yield Path(place)


def given(data: Path) -> None:
    """To the user of a service."""
    for path in (data, *data.rglob("*")):
        os.chown(path, SERVICE, SERVICE)
