"""Records, each told from the others of its name."""

from pathlib import Path

from pulse.client import connect
from pulse.schemas.dns import RecordView
from pulse.tui.views.dns import DNS
from tests.api.fake_control import FakeControl
from tests.tui.asking import asked


def test_two_records_of_one_name_are_two_lines(data_dir: Path, control: FakeControl) -> None:
    control.dns.there = [RecordView("db.pulse", "A", f"10.9.0.{last}", 60) for last in (1, 2)]
    with connect(data_dir) as client:
        found = asked(client, DNS)

    assert [each.cells for each in found] == [("db.pulse", "A", "10.9.0.1", "60"), ("db.pulse", "A", "10.9.0.2", "60")]
    assert len({each.key for each in found}) == 2
