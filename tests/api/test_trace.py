"""The way to a node, through the real client."""

from pathlib import Path

from pulse.calls.trace import TraceCalls
from pulse.client import Client
from pulse.schemas.paths import TraceRequest
from tests.api.fake_control import FakeControl


def test_a_trace_arrives_whole(place: Path, control: FakeControl) -> None:
    with Client(place) as client:
        assert TraceCalls(client).trace("laptop", 1.5) == control.ways.way

    assert control.asked == [TraceRequest("laptop", 1.5)]
