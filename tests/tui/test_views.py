"""Every view: as many cells as columns, in the words of the node."""

from pathlib import Path

import pytest

from pulse.client import connect
from pulse.tui.rates import Rates
from pulse.tui.views import TABLES, Memory, Table, rate
from pulse.wording import DASH
from tests.api.fake_control import FakeControl, peer


@pytest.mark.parametrize("table", TABLES, ids=lambda table: table.name)
def test_a_view_fills_all_its_columns(table: Table, data_dir: Path, control: FakeControl) -> None:
    with connect(data_dir) as client:
        lines = table.ask(client, Memory(Rates(), Rates()))

    assert lines
    assert {len(each.cells) for each in lines} == {len(table.columns)}
    assert len({each.key for each in lines}) == len(lines)


def test_nodes_show_how_they_are_reached(data_dir: Path, control: FakeControl) -> None:
    control.node.peers = [
        peer("laptop", link="websocket", via="relay-01", suspect=True),
        peer("cam-7", id="8" * 64, link="-"),
    ]
    with connect(data_dir) as client:
        first, second = TABLES[0].ask(client, Memory(Rates(), Rates()))

    assert first.cells[:6] == ("laptop", "10.100.87.53", "websocket?", "relay-01", "22.8 ms", "0 %")
    assert second.cells[2:6] == ("-", DASH, DASH, DASH)


def test_a_rate_has_a_unit_and_a_picture() -> None:
    assert rate([]) == DASH
    assert rate([0.0, 999.0]).endswith(" 999 B/s")
    assert rate([1_200_000.0]).endswith(" 1.2 MB/s")
    assert rate([3.5e9]).endswith(" 3.5 GB/s")


def test_traffic_is_shown_as_the_scribe_sums_it(data_dir: Path, control: FakeControl) -> None:
    (table,) = [each for each in TABLES if each.name == "traffic"]
    with connect(data_dir) as client:
        first, second = table.ask(client, Memory(Rates(), Rates()))

    assert [column.title for column in table.columns] == ["NODE", "TX", "TX/S", "RX", "RX/S", "CONNS"]
    assert first.cells == ("relay-01", "4.1 kB", "1.5 kB/s", "12.0 GB", "0 B/s", "2")
    assert second.cells == ("db-server", "0 B", DASH, "812 B", DASH, "0")
