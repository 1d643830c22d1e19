"""A CA that was just made, and how it is looked at."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from pulse.config import Bootstrap, Node, NodeConfig, Tun
from pulse.core.symptoms import Machine
from pulse.examination.look import look as seen
from pulse.services import enrol
from pulse.store.files import open_data_dir
from tests.authority import MESH
from tests.namespace import ip, namespace
from tests.ports import free_port


def look(data_dir: Path, *peers: str) -> Machine:
    config = NodeConfig(
        Node(data_dir=str(data_dir), addr=f":{free_port()}"),
        bootstrap=Bootstrap(peers),
        tun=Tun(enabled=True, cidr=str(MESH)),
    )
    return seen(config, "", None, "no answer", "1.2.3")


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
