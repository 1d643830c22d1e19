"""Pins, and what is not pinned."""

from pathlib import Path

import pytest

from pulse.calls.pins import PinCalls
from pulse.client import Client
from pulse.errors import NotFound
from pulse.schemas.pin import PinRequest, UnpinRequest
from tests.api.fake_control import FakeControl
from tests.api.fake_ways import pinned


def test_pins_come_and_go(place: Path, control: FakeControl) -> None:
    with Client(place) as client:
        assert PinCalls(client).pin("9999", "relay-01") == pinned()
        assert PinCalls(client).unpin("db-server").via == ""
        with pytest.raises(NotFound, match="is not pinned"):
            PinCalls(client).unpin("relay-01")

    assert control.asked[:2] == [PinRequest("9999", "relay-01"), UnpinRequest("db-server")]
