"""Traffic, as the scribe sums it."""

from pathlib import Path

from pulse.client import connect
from pulse.tui.views.traffic import TRAFFIC
from pulse.wording import DASH
from tests.api.fake_control import FakeControl
from tests.tui.asking import asked


def test_traffic_is_shown_as_the_scribe_sums_it(data_dir: Path, control: FakeControl) -> None:
    with connect(data_dir) as client:
        first, second = asked(client, TRAFFIC)

    assert first.cells == ("relay-01", "4.1 kB", "1.5 kB/s", "12.0 GB", "0 B/s", "2")
    assert second.cells == ("db-server", "0 B", DASH, "812 B", DASH, "0")
