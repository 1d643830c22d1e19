"""The way to a node, through the real client."""

from pathlib import Path

from pulse.client import Client
from pulse.schemas.paths import TraceRequest
from tests.api.fake_control import FakeControl


def test_a_trace_arrives_whole(place: Path, control: FakeControl) -> None:
    with Client(place) as client:
        assert client.trace("laptop", 1.5) == control.ways.way

    assert control.asked == [TraceRequest("laptop", 1.5)]
