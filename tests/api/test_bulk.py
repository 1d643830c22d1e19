"""Changes for many nodes through the real client."""

from pathlib import Path

import pytest

from pulse.calls.bulk import BulkCalls
from pulse.client import Client
from pulse.errors import NotFound
from pulse.schemas.bulk import BulkDone, BulkNode, BulkRequest
from tests.api.fake_control import FakeControl
from tests.api.fake_ways import ID
from tests.api.http import say


def test_a_change_for_many_reaches_the_node(place: Path, control: FakeControl) -> None:
    wanted = BulkRequest("tag:edge", "tag", "infra")
    with Client(place) as client:
        assert BulkCalls(client).bulk(wanted) == BulkDone([BulkNode(ID, "relay-01", ["edge"])], done=True)
        with pytest.raises(NotFound, match="nobody"):
            BulkCalls(client).bulk(BulkRequest("nobody", "revoke"))

    assert control.asked[0] == wanted


def test_a_word_that_is_no_change_is_refused_and_shown_escaped(place: Path, control: FakeControl) -> None:
    body = b'{"pattern":"*","action":"feed\\u001b"}'
    status, _, problem = say(place, "POST /api/bulk HTTP/1.1\nContent-Type: application/json", body)

    assert (status, control.asked) == (400, [])
    assert problem["detail"].startswith("the request does not fit: Invalid enum value 'feed")
    assert problem["detail"].isprintable()
