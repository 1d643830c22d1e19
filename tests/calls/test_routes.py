"""`/api/routes`: every word of a request arrives, and refusals come back as they were said."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from pulse.calls.routes import RouteCalls
from pulse.client import Client
from pulse.errors import ConfigError, NotFound
from pulse.schemas.routes import RouteRef, RouteRequest
from tests.api.fake_control import FakeControl
from tests.api.fake_routes import ROUTE


@pytest.fixture
def client(place: Path, control: FakeControl) -> Iterator[Client]:
    del control
    with Client(place) as client:
        yield client


def test_routes_are_listed_stated_approved_and_taken_away(client: Client, control: FakeControl) -> None:
    wanted = RouteRequest("db-server", "192.168.7.0/24", "10.7.7.0/24")
    named = RouteRef("0.0.0.0/0", "relay-01")

    assert RouteCalls(client).all() == [ROUTE]
    assert RouteCalls(client).add(wanted).cidr == "10.7.7.0/24"
    assert RouteCalls(client).approve(named).version == "1.7"
    assert RouteCalls(client).remove(named).name == "relay-01"
    assert control.asked == [wanted, named, named]


def test_an_unknown_range_is_not_found(client: Client) -> None:
    with pytest.raises(NotFound, match="no node offers"):
        RouteCalls(client).approve(RouteRef("10.0.0.0/8"))
    with pytest.raises(ConfigError, match="does not fit"):
        RouteCalls(client).approve(RouteRef("1" * 65))
