"""Ranges, and who leads there."""

from pathlib import Path

from pulse.client import connect
from pulse.tui.views.routes import ROUTES
from pulse.wording import DASH
from tests.api.fake_control import FakeControl
from tests.tui.asking import asked


def test_a_range_that_is_offered_waits_for_its_approval(data_dir: Path, control: FakeControl) -> None:
    with connect(data_dir) as client:
        (found,) = asked(client, ROUTES)

    assert found.cells == ("0.0.0.0/0", "relay-01", "offered", DASH, DASH)
