"""Shutting out: by name, and with force where that is what it takes."""

from pathlib import Path

import pytest

from pulse.calls.revoke import RevokeCalls
from pulse.client import Client
from pulse.errors import Refused
from pulse.schemas.revoke import RevokeRequest
from tests.api.fake_control import FakeControl


def test_the_last_ca_takes_force(place: Path, control: FakeControl) -> None:
    with Client(place) as client:
        with pytest.raises(Refused, match="--force"):
            RevokeCalls(client).revoke("relay-01")
        assert RevokeCalls(client).revoke("relay-01", force=True).name == "relay-01"

    assert control.asked == [RevokeRequest("relay-01"), RevokeRequest("relay-01", force=True)]
