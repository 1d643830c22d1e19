"""Names and tags: what was asked arrives, and what is taken is said."""

from pathlib import Path

import pytest

from pulse.calls.names import NameCalls
from pulse.client import Client
from pulse.errors import Conflict, NotFound
from pulse.schemas.names import NameRequest, TagRequest
from tests.api.fake_control import FakeControl


def test_names_and_tags_come_and_go(place: Path, control: FakeControl) -> None:
    with Client(place) as client:
        calls = NameCalls(client)
        assert calls.set_name("4be2", "front").name == "front"
        assert calls.add_tag("4be2", "prod").tags == ["edge", "prod"]
        assert calls.remove_tag("4be2", "edge").tags == []

    assert control.asked == [NameRequest("4be2", "front"), TagRequest("4be2", "prod"), TagRequest("4be2", "edge")]


def test_a_name_that_is_taken_and_a_tag_that_is_not_there_are_told(place: Path, control: FakeControl) -> None:
    with Client(place) as client:
        with pytest.raises(Conflict, match="is the name of 999999999999 already"):
            NameCalls(client).set_name("4be2", "db-server")
        with pytest.raises(NotFound, match='has no tag "x"'):
            NameCalls(client).remove_tag("4be2", "x")
