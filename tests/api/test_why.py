"""The reason for a path, through the real client."""

from pathlib import Path

from pulse.calls.why import WhyCalls
from pulse.client import Client
from pulse.schemas.paths import WhyRequest
from tests.api.fake_control import FakeControl


def test_a_reason_arrives_whole(place: Path, control: FakeControl) -> None:
    with Client(place) as client:
        assert WhyCalls(client).why("laptop", "db-server", 1.5) == control.ways.reason

    assert control.asked == [WhyRequest("laptop", "db-server", 1.5)]
