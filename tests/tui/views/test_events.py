"""What happened."""

from pathlib import Path

from pulse.client import connect
from pulse.tui.views.events import EVENTS
from tests.api.fake_control import FakeControl
from tests.tui.asking import asked


def test_the_newest_comes_first_with_its_fields(data_dir: Path, control: FakeControl) -> None:
    with connect(data_dir) as client:
        roamed, joined = asked(client, EVENTS)

    assert roamed.cells[1:] == ("path", "laptop", "link=websocket via=relay-01 was=")
    assert joined.cells[1:] == ("join", "laptop", "v4=10.100.9.140")
