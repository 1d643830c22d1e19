"""A reload through the real client; no key over TCP is good for it."""

from pathlib import Path

from pulse.api.endpoints import LOCAL
from pulse.api.reload import ENDPOINTS
from pulse.client import Client
from pulse.schemas.operating import Reloaded
from tests.api.fake_control import FakeControl


def test_it_is_told_what_waits_for_a_restart(place: Path, control: FakeControl) -> None:
    with Client(place) as client:
        assert client.call("POST", "/api/reload", Reloaded).later == ["tun.queues"]


def test_no_key_is_good_for_it() -> None:
    assert {each.scope for each in ENDPOINTS} == {LOCAL}
