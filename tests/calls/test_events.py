"""The journal: asked with what was said alone, and followed until the node hangs up."""

from pathlib import Path

import pytest

from pulse.calls.events import EventCalls
from pulse.client import Client
from pulse.errors import ConfigError
from pulse.schemas.events import EventsQuery
from tests.api.fake_control import FakeControl
from tests.api.fake_journals import JOINED, MOMENT, ROAMED


def test_events_their_check_and_a_moment_are_told(place: Path, control: FakeControl) -> None:
    with Client(place) as client:
        calls = EventCalls(client)
        assert calls.events(EventsQuery()).events == [JOINED, ROAMED]
        assert calls.events(EventsQuery(after=3)).events == [ROAMED]
        assert calls.events_verify().broken is None
        assert calls.events_at(1010.0) == MOMENT


def test_a_type_that_there_is_not_is_refused_with_those_there_are(place: Path, control: FakeControl) -> None:
    with Client(place) as client, pytest.raises(ConfigError, match="There are: start, join"):
        EventCalls(client).events(EventsQuery(type="foo"))
