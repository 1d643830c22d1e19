"""Pins through the real client, and bodies that are strict."""

from pathlib import Path

import pytest

from pulse.calls.pins import PinCalls
from pulse.client import Client
from pulse.errors import NotFound
from pulse.schemas.pin import PinRequest, UnpinRequest
from tests.api.fake_control import FakeControl
from tests.api.fake_ways import pinned
from tests.api.http import say

JSON = "Content-Type: application/json"


def test_pins_reach_the_node(place: Path, control: FakeControl) -> None:
    with Client(place) as client:
        assert PinCalls(client).pin("9999", "relay-01") == pinned()
        assert PinCalls(client).pin("db-server", direct=True).direct
        assert PinCalls(client).unpin("db-server").via == ""

    assert control.asked == [
        PinRequest("9999", "relay-01"),
        PinRequest("db-server", direct=True),
        UnpinRequest("db-server"),
    ]


def test_what_is_refused_arrives_whole(place: Path, control: FakeControl) -> None:
    with Client(place) as client:
        with pytest.raises(NotFound, match='no node is called "nobody"'):
            PinCalls(client).pin("nobody", "relay-01")
        with pytest.raises(NotFound, match=r"relay-01 is not pinned \(pinned: db-server\)"):
            PinCalls(client).unpin("relay-01")


@pytest.mark.parametrize(
    ("head", "body", "status"),
    [
        ("PUT /api/pins", b'{"node_id":"9999","via":"relay-01"}', 200),
        ("PUT /api/pins", b'{"node_id":"9999","direct":true}', 200),
        ("DELETE /api/pins", b'{"node_id":"db-server"}', 200),
        ("POST /api/pins", b'{"node_id":"9999","via":"relay-01"}', 405),
        ("PUT /api/pins", b'{"via":"relay-01"}', 400),
        ("PUT /api/pins", b'{"node_id":"9999","by":"relay-01"}', 400),
        ("PUT /api/pins", b'{"node_id":"9999","direct":"yes"}', 400),
        ("PUT /api/pins", b'{"node_id":"9999","via":"' + b"a" * 256 + b'"}', 400),
        ("DELETE /api/pins", b"{}", 400),
    ],
)
def test_bodies_are_strict(place: Path, control: FakeControl, head: str, body: bytes, status: int) -> None:
    assert say(place, f"{head} HTTP/1.1\n{JSON}", body)[0] == status
    assert bool(control.asked) is (status == 200)
