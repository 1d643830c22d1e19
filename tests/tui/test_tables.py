"""Every view: as many cells as columns, no line twice, and a number key."""

from pathlib import Path

import pytest

from pulse.client import connect
from pulse.tui.table import Table
from pulse.tui.tables import TABLES
from tests.api.fake_control import FakeControl
from tests.tui.asking import asked


@pytest.mark.parametrize("table", TABLES, ids=lambda table: table.name)
def test_a_view_fills_all_its_columns(table: Table, data_dir: Path, control: FakeControl) -> None:
    with connect(data_dir) as client:
        lines = asked(client, table)

    assert lines
    assert {len(each.cells) for each in lines} == {len(table.columns)}
    assert len({each.key for each in lines}) == len(lines)


def test_each_has_a_number_key_and_a_name_of_its_own() -> None:
    assert len(TABLES) <= 9
    assert len({each.name for each in TABLES}) == len(TABLES)
