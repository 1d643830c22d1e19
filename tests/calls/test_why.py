"""The reason of a path, and a node that nobody knows."""

from pathlib import Path

import pytest

from pulse.calls.why import WhyCalls
from pulse.client import Client
from pulse.errors import NotFound
from pulse.schemas.paths import WhyRequest
from tests.api.fake_control import FakeControl


def test_the_reason_is_told(place: Path, control: FakeControl) -> None:
    with Client(place) as client:
        assert WhyCalls(client).why("laptop", "db-server", 1.0) == control.ways.reason

    assert control.asked == [WhyRequest("laptop", "db-server", 1.0)]


def test_a_node_that_nobody_knows_is_not_found(place: Path, control: FakeControl) -> None:
    with Client(place) as client, pytest.raises(NotFound, match="nobody"):
        WhyCalls(client).why("nobody")
