"""Examination: what is on disk and in the kernel is seen as it is, and nothing changes by being looked at."""

import fcntl
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from pulse import examination
from pulse.config import Bootstrap, Node, NodeConfig, Tun
from pulse.core.symptoms import Machine
from pulse.services import enrol
from pulse.store.files import open_data_dir
from tests.authority import MESH
from tests.namespace import inside, ip, namespace
from tests.ports import free_port


def look(data_dir: Path, *peers: str) -> Machine:
    config = NodeConfig(
        Node(data_dir=str(data_dir), addr=f":{free_port()}"),
        bootstrap=Bootstrap(peers),
        tun=Tun(enabled=True, cidr=str(MESH)),
    )
    return examination.look(config, "", None, "no answer", "1.2.3")


@pytest.fixture
def data_dir(tmp_path: Path) -> Path:
    """That of a CA that was just made."""
    place = open_data_dir(tmp_path / "data")
    enrol.found(place, "mynet", MESH, "first")
    return place


@pytest.fixture
def netns() -> Iterator[str]:
    with namespace() as name:
        ip(name, "link", "add", "eth9", "mtu", "1200", "type", "veth", "peer", "eth8")
        ip(name, "address", "add", "10.100.7.1/24", "dev", "eth9")
        ip(name, "link", "set", "eth9", "up")
        yield name


def everything(data_dir: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in data_dir.rglob("*") if path.is_file()}


def test_a_whole_directory_has_no_problem_and_is_left_as_it_was(data_dir: Path) -> None:
    before = everything(data_dir)

    found = look(data_dir)

    assert (found.member, found.state_problem, found.disk_problem, found.journal_problem) == (True, "", "", "")
    assert (found.holder, found.silence, found.port_problems) == (0, "", ())
    assert found.certificate_until is not None
    assert found.certificate_until > found.wall
    assert everything(data_dir) == before


def test_damage_is_told_by_file(data_dir: Path) -> None:
    (data_dir / "identity" / "certificate.pem").write_bytes(b"x")
    assert "identity" in look(data_dir).state_problem
    (data_dir / "identity").chmod(0o755)
    assert "open to other users" in look(data_dir).state_problem


def test_who_has_the_directory_and_is_silent_is_named(data_dir: Path) -> None:
    with (data_dir / "lock").open("w") as lock:
        lock.write(f"{os.getpid()}\n")
        lock.flush()
        assert look(data_dir).holder == 0, "a lock that nobody holds is a leftover"
        fcntl.flock(lock, fcntl.LOCK_EX)
        found = look(data_dir)

    assert (found.holder, found.silence) == (os.getpid(), "no answer")


def test_names_without_an_address_are_told_and_addresses_not_asked_for(data_dir: Path) -> None:
    found = look(data_dir, "nowhere.invalid:443", "192.0.2.1:443", "localhost:443")

    assert [name for name, _ in found.unresolved] == ["nowhere.invalid"]


def test_interfaces_and_routes_are_those_of_the_machine(data_dir: Path, netns: str) -> None:
    with inside(netns):
        found = look(data_dir)

    assert found.mtus == {"eth9": 1200}
    assert "the mesh range 10.100.0.0/16 is in use here" in found.route_conflict
    assert found.dropping == []
