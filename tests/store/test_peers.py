"""The peers last known: kept for a quick start, and never a reason not to start."""

from pathlib import Path

import msgspec
import pytest

from pulse.store import peers
from pulse.store.files import open_data_dir, write_checked
from pulse.store.peers import PEERS_LIMIT, KnownPeer
from tests.authority import node

PEER = KnownPeer(node("a"), "box", ["203.0.113.7:443"], b"der")


@pytest.fixture
def data_dir(tmp_path: Path) -> Path:
    return open_data_dir(tmp_path / "data")


def test_peers_come_back_as_they_were(data_dir: Path) -> None:
    peers.save(data_dir, [PEER])
    assert peers.load(data_dir) == ([PEER], None)
    assert PEER.node_id == node("a")


def test_the_first_start_knows_nobody(data_dir: Path) -> None:
    assert peers.load(data_dir) == ([], None)


def test_only_the_first_4096_are_kept(data_dir: Path) -> None:
    peers.save(data_dir, [PEER] * (PEERS_LIMIT + 5))
    assert len(peers.load(data_dir)[0]) == PEERS_LIMIT


def test_a_damaged_file_costs_its_contents_and_a_warning(data_dir: Path) -> None:
    peers.save(data_dir, [PEER])
    whole = (data_dir / "peers").read_bytes()
    for at in range(len(whole)):
        for data in (whole[:at], whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :]):
            (data_dir / "peers").write_bytes(data)
            found, warning = peers.load(data_dir)
            assert found == []
            assert warning is not None
            assert "peers is damaged" in warning


def test_values_out_of_bounds_cost_the_contents_too(data_dir: Path) -> None:
    write_checked(data_dir / "peers", "peers", msgspec.msgpack.encode([[["x" * 65, "", [], b"d"]]]))
    found, warning = peers.load(data_dir)
    assert found == []
    assert warning is not None
    assert "cannot be read" in warning
