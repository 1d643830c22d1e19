"""Rules through the real client, and as the reference's bodies have them."""

from pathlib import Path

import pytest

from pulse.schemas.policy import (
    Connection,
)
from tests.api.fake_control import FakeControl
from tests.api.http import say

JSON = "Content-Type: application/json"
SSH = Connection("10.100.0.1", "10.100.0.2", 22)


@pytest.mark.parametrize(
    ("head", "body", "status"),
    [
        ("POST /api/acls", b'{"action":"allow","from":"tag:backend","to":"tag:db","ports":["22","8000-8100"]}', 200),
        ("DELETE /api/acls", b'{"index":1}', 200),
        ("DELETE /api/acls", b'{"id":"r1"}', 200),
        ("POST /api/acls/explain", b'{"source":"laptop","destination":"db-server","port":5432}', 200),
        ("POST /api/acls", b'{"from":"tag:backend"}', 400),
        ("POST /api/acls", b'{"from":"a","to":"b","action":"maybe"}', 400),
        ("POST /api/acls", b'{"from":"a","to":"b","port":22}', 400),
        ("POST /api/acls", b'{"from":"a","to":"b","ttl":-1}', 400),
        ("POST /api/acls", b'{"from":"a","to":"b","note":"' + b"x" * 201 + b'"}', 400),
        ("POST /api/acls", b'{"from":[],"to":"b"}', 400),
        ("DELETE /api/acls", b'{"index":-1}', 400),
        ("PUT /api/acls", b'{"index":1}', 405),
        ("POST /api/acls/explain", b'{"source":"laptop","destination":"db-server","port":65536}', 400),
    ],
)
def test_bodies_are_those_of_the_reference_and_strict(
    place: Path, control: FakeControl, head: str, body: bytes, status: int
) -> None:
    assert say(place, f"{head} HTTP/1.1\n{JSON}", body)[0] == status
    assert bool(control.asked) is (status == 200)
