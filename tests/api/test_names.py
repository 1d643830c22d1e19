"""Names and tags through the real client, and as the reference's bodies have them."""

from pathlib import Path

import pytest

from pulse.calls.names import NameCalls
from pulse.client import Client
from pulse.errors import Conflict, NotFound
from pulse.schemas.names import NameRequest, NodeNaming, TagRequest
from tests.api.fake_control import TAKEN, FakeControl
from tests.api.fake_ways import ID
from tests.api.http import say

JSON = "Content-Type: application/json"


def test_names_and_tags_reach_the_node(place: Path, control: FakeControl) -> None:
    with Client(place) as client:
        assert NameCalls(client).set_name("4be2", "relay-01") == NodeNaming(ID, "relay-01", ["edge"], "1.7")
        assert NameCalls(client).add_tag("4be2", "infra").tags == ["edge", "infra"]
        assert NameCalls(client).remove_tag("4be2", "edge").tags == []

    name, tag, untag = (
        NameRequest("4be2", "relay-01"),
        *(TagRequest("4be2", t) for t in ("infra", "edge")),
    )
    assert control.asked == [name, tag, untag]


def test_what_is_refused_arrives_whole(place: Path, control: FakeControl) -> None:
    with Client(place) as client:
        with pytest.raises(Conflict) as taken:
            NameCalls(client).set_name("4be2", "db-server")
        with pytest.raises(NotFound, match="it has: edge"):
            NameCalls(client).remove_tag("4be2", "infra")

    assert str(taken.value) == TAKEN


@pytest.mark.parametrize(
    ("head", "body", "status"),
    [
        ("PUT /api/name", b'{"node_id":"4be2","name":"relay-01"}', 200),
        ("POST /api/tags", b'{"node_id":"4be2","tag":"infra"}', 200),
        ("DELETE /api/tags", b'{"node_id":"4be2","tag":"edge"}', 200),
        ("POST /api/name", b'{"node_id":"4be2","name":"relay-01"}', 405),
        ("PUT /api/name", b'{"node_id":"4be2","name":"relay-01","force":true}', 400),
        ("PUT /api/name", b'{"node_id":"4be2"}', 400),
        ("POST /api/tags", b'{"node_id":"4be2","tag":"' + b"a" * 256 + b'"}', 400),
        ("POST /api/tags", b'{"node_id":7,"tag":"infra"}', 400),
    ],
)
def test_bodies_are_those_of_the_reference_and_strict(
    place: Path, control: FakeControl, head: str, body: bytes, status: int
) -> None:
    assert say(place, f"{head} HTTP/1.1\n{JSON}", body)[0] == status
    assert bool(control.asked) is (status == 200)
