"""Changes for many nodes through the real client."""

from pathlib import Path

import pytest

from pulse import schemas
from pulse.client import Client
from pulse.errors import NotFound
from tests.api.fake_control import ID, FakeControl


def test_a_change_for_many_reaches_the_node(place: Path, control: FakeControl) -> None:
    wanted = schemas.BulkRequest("tag:edge", "tag", "infra")
    with Client(place) as client:
        assert client.bulk(wanted) == schemas.BulkDone([schemas.BulkNode(ID, "relay-01", ["edge"])], done=True)
        with pytest.raises(NotFound, match="nobody"):
            client.bulk(schemas.BulkRequest("nobody", "revoke"))

    assert control.asked[0] == wanted
