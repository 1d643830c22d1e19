"""Many nodes at once, and a pattern that fits none."""

from pathlib import Path

import pytest

from pulse.calls.bulk import BulkCalls
from pulse.client import Client
from pulse.errors import NotFound
from pulse.schemas.bulk import BulkRequest
from tests.api.fake_control import FakeControl


def test_what_would_be_done_is_told_and_nobody_is_an_error(place: Path, control: FakeControl) -> None:
    with Client(place) as client:
        assert not BulkCalls(client).bulk(BulkRequest("*", "tag", "edge", dry_run=True)).done
        with pytest.raises(NotFound, match="nobody"):
            BulkCalls(client).bulk(BulkRequest("nobody", "revoke"))
