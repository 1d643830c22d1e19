"""Every view: as many cells as columns, in the words of the node."""

from pathlib import Path

import pytest

from pulse.client import Client, connect
from pulse.schemas.pin import PinInfo
from pulse.tui.model import Line
from pulse.tui.rates import Rates
from pulse.tui.views import TABLES, Memory, Table, rate
from pulse.wording import DASH
from tests.api.fake_control import FakeControl, peer
from tests.api.fake_ways import ID


def asked(client: Client, table: Table) -> list[Line]:
    """What a view shows at its first look."""
    return table.ask(client, client.mesh(), Memory(Rates(), Rates()))


@pytest.mark.parametrize("table", TABLES, ids=lambda table: table.name)
def test_a_view_fills_all_its_columns(table: Table, data_dir: Path, control: FakeControl) -> None:
    with connect(data_dir) as client:
        lines = asked(client, table)

    assert lines
    assert {len(each.cells) for each in lines} == {len(table.columns)}
    assert len({each.key for each in lines}) == len(lines)


def test_nodes_show_how_they_are_reached(data_dir: Path, control: FakeControl) -> None:
    control.node.peers = [
        peer("laptop", link="websocket", via="relay-01", suspect=True),
        peer("cam-7", id="8" * 64, link="-"),
    ]
    with connect(data_dir) as client:
        first, second = asked(client, TABLES[0])

    assert first.cells[:7] == ("laptop", "999999999999", "10.100.87.53", "websocket?", "relay-01", "22.8 ms", "0 %")
    assert second.cells[3:7] == (DASH, DASH, DASH, DASH)


def test_connections_and_what_is_left_of_certificates_stand_beside_the_nodes(
    data_dir: Path, control: FakeControl
) -> None:
    control.node.peers = [peer("relay-01", id=ID), peer("cam-7", id="c" * 64), peer("new", id="7" * 64)]
    with connect(data_dir) as client:
        found = asked(client, TABLES[0])

    assert [(each.cells[9], each.cells[-1]) for each in found] == [("0", "81 d"), (DASH, "ended"), (DASH, DASH)]


def test_paths_show_the_way_and_how_it_was_pinned(data_dir: Path, control: FakeControl) -> None:
    pin = PinInfo(ID, "laptop", "relay-01", ID, False, True, "")
    control.node.peers = [
        peer("relay-01", id=ID),
        peer("laptop", path=[ID, "9" * 64], hops=2, via="relay-01", mtu=1340, pinned=pin),
        peer("gone", id="8" * 64, link="-", last_error="timed out"),
    ]
    (table,) = [each for each in TABLES if each.name == "paths"]
    with connect(data_dir) as client:
        _, laptop, gone = asked(client, table)

    assert laptop.cells[:2] == ("laptop", "quic")
    assert laptop.cells[2:-1] == ("2", "22.8 ms", "1.0 ms", "0 %", "1340", "relay-01", "relay-01 → laptop")
    assert gone.cells[1:-1] == (*[DASH] * 7, "timed out")


def test_rules_have_their_flows_also_where_the_scribe_does_not_tell_them(data_dir: Path, control: FakeControl) -> None:
    (table,) = [each for each in TABLES if each.name == "policy"]
    with connect(data_dir) as client:
        assert asked(client, table)[0].cells[2].isdigit()


def test_a_rate_has_a_unit_and_a_picture() -> None:
    assert rate([]) == DASH
    assert rate([0.0, 999.0]).endswith(" 999 B/s")
    assert rate([1_200_000.0]).endswith(" 1.2 MB/s")
    assert rate([3.5e9]).endswith(" 3.5 GB/s")


def test_traffic_is_shown_as_the_scribe_sums_it(data_dir: Path, control: FakeControl) -> None:
    (table,) = [each for each in TABLES if each.name == "traffic"]
    with connect(data_dir) as client:
        first, second = asked(client, table)

    assert [column.title for column in table.columns] == ["NODE", "TX", "TX/S", "RX", "RX/S", "CONNS"]
    assert first.cells == ("relay-01", "4.1 kB", "1.5 kB/s", "12.0 GB", "0 B/s", "2")
    assert second.cells == ("db-server", "0 B", DASH, "812 B", DASH, "0")
