"""Nodes, as they are reached, what they move, and what is left of their certificates."""

from pathlib import Path

from pulse.client import connect
from pulse.tui.views.nodes import NODES, rate
from pulse.wording import DASH
from tests.api.fake_control import FakeControl, peer
from tests.api.fake_ways import ID
from tests.tui.asking import asked


def test_nodes_show_how_they_are_reached(data_dir: Path, control: FakeControl) -> None:
    control.node.peers = [
        peer("laptop", link="websocket", via="relay-01", suspect=True),
        peer("cam-7", id="8" * 64, link="-"),
    ]
    with connect(data_dir) as client:
        first, second = asked(client, NODES)

    assert first.cells[:7] == ("laptop", "999999999999", "10.100.87.53", "websocket?", "relay-01", "22.8 ms", "0 %")
    assert second.cells[3:7] == (DASH, DASH, DASH, DASH)


def test_connections_and_what_is_left_of_certificates_stand_beside_the_nodes(
    data_dir: Path, control: FakeControl
) -> None:
    control.node.peers = [peer("relay-01", id=ID), peer("cam-7", id="c" * 64), peer("new", id="7" * 64)]
    with connect(data_dir) as client:
        found = asked(client, NODES)

    assert [(each.cells[9], each.cells[-1]) for each in found] == [("0", "81 d"), (DASH, "ended"), (DASH, DASH)]


def test_a_rate_has_a_unit_and_a_picture() -> None:
    assert rate([]) == DASH
    assert rate([0.0, 999.0]).endswith(" 999 B/s")
    assert rate([1_200_000.0]).endswith(" 1.2 MB/s")
    assert rate([3.5e9]).endswith(" 3.5 GB/s")
