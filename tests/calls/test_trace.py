"""A trace, and a node that nobody knows."""

from pathlib import Path

import pytest

from pulse.calls.trace import TraceCalls
from pulse.client import Client
from pulse.errors import NotFound
from pulse.schemas.paths import TraceRequest
from tests.api.fake_control import FakeControl


def test_the_hops_are_told(place: Path, control: FakeControl) -> None:
    with Client(place) as client:
        assert TraceCalls(client).trace("laptop", 1.0) == control.ways.way

    assert control.asked == [TraceRequest("laptop", 1.0)]


def test_a_node_that_nobody_knows_is_not_found(place: Path, control: FakeControl) -> None:
    with Client(place) as client, pytest.raises(NotFound, match="nobody"):
        TraceCalls(client).trace("nobody")
