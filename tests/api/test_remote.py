"""Restarts and settings from afar, through the real client; no key over TCP is good for them."""

from pathlib import Path

import pytest

from pulse.api.endpoints import LOCAL
from pulse.api.remote import ENDPOINTS
from pulse.client import Client
from pulse.errors import Refused
from pulse.schemas.operating import Reloaded, RemoteSettings, Restarting, RestartRequest
from tests.api.fake_control import FakeControl


def test_each_is_asked_and_answered(place: Path, control: FakeControl) -> None:
    wanted = RemoteSettings("laptop", {"node.log_level": "debug"})
    with Client(place) as client:
        assert client.call("POST", "/api/restart", Restarting, RestartRequest("laptop")).name == "laptop"
        assert client.call("POST", "/api/settings", Reloaded, wanted).changed == ["node.log_level"]
        with pytest.raises(Refused, match="from afar"):
            client.call("POST", "/api/restart", Restarting, RestartRequest("cam-7"))

    assert control.asked == [RestartRequest("laptop"), wanted, RestartRequest("cam-7")]


def test_no_key_is_good_for_them() -> None:
    assert {each.scope for each in ENDPOINTS} == {LOCAL}
