"""Paths, with the way and how it was pinned."""

from pathlib import Path

from pulse.client import connect
from pulse.schemas.pin import PinInfo
from pulse.tui.views.paths import PATHS
from pulse.wording import DASH
from tests.api.fake_control import FakeControl, peer
from tests.api.fake_ways import ID
from tests.tui.asking import asked


def test_paths_show_the_way_and_how_it_was_pinned(data_dir: Path, control: FakeControl) -> None:
    pin = PinInfo(ID, "laptop", "relay-01", ID, False, True, "")
    control.node.peers = [
        peer("relay-01", id=ID),
        peer("laptop", path=[ID, "9" * 64], hops=2, via="relay-01", mtu=1340, pinned=pin),
        peer("gone", id="8" * 64, link="-", last_error="timed out"),
    ]
    with connect(data_dir) as client:
        _, laptop, gone = asked(client, PATHS)

    assert laptop.cells[:2] == ("laptop", "quic")
    assert laptop.cells[2:-1] == ("2", "22.8 ms", "1.0 ms", "0 %", "1340", "relay-01", "relay-01 → laptop")
    assert gone.cells[1:-1] == (*[DASH] * 7, "timed out")
