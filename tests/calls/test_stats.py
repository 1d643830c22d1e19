"""Calls about traffic, against a control socket."""

from pathlib import Path

import pytest

from pulse.calls.stats import StatsCalls
from pulse.client import Client
from pulse.errors import Refused
from tests.api.conftest import control, place
from tests.api.fake_control import FakeControl
from tests.api.fake_stats import BY_NODE, BY_PEER

__all__ = ["control", "place"]


def test_traffic_is_asked_for_by_node_and_by_peer(place: Path, control: FakeControl) -> None:
    with Client(place) as client:
        calls = StatsCalls(client)
        assert (calls.stats(), calls.stats("relay 01&x=y")) == (BY_NODE, BY_PEER)
        with pytest.raises(Refused, match="is no operator"):
            calls.stats("db-server")
