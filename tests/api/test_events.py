"""Events through the real client, and questions that are strict."""

from pathlib import Path

import pytest

from pulse.calls.events import EventCalls
from pulse.client import Client
from pulse.errors import ConfigError
from pulse.schemas.events import EventsQuery, MomentQuery
from tests.api.fake_control import FakeControl
from tests.api.fake_journals import JOINED, MOMENT, ROAMED
from tests.api.http import say


def test_a_question_reaches_the_node_as_it_was_asked(place: Path, control: FakeControl) -> None:
    wanted = EventsQuery("join,path", "cam-*", 12.5, 3, 7)
    with Client(place) as client:
        assert EventCalls(client).events(wanted).events == [ROAMED]
        assert EventCalls(client).events(EventsQuery()).events == [JOINED, ROAMED]
        assert EventCalls(client).events(EventsQuery(after=0, limit=1)).events == [JOINED]

    assert control.asked == [wanted, EventsQuery(), EventsQuery(after=0, limit=1)]


def test_the_check_and_a_moment_arrive(place: Path, control: FakeControl) -> None:
    with Client(place) as client:
        assert EventCalls(client).events_verify().entries == 2
        assert EventCalls(client).events_at(1010.0) == MOMENT

    assert control.asked == [MomentQuery(1010.0)]


def test_a_type_nobody_knows_is_refused_in_words(place: Path, control: FakeControl) -> None:
    with Client(place) as client, pytest.raises(ConfigError, match="no type of event"):
        EventCalls(client).events(EventsQuery("foo"))


@pytest.mark.parametrize(
    "query",
    ["?limit=0", "?limit=1001", "?after=-1", "?since=x", "?kind=join", f"?node={'x' * 256}", "/at?time=", "/at"],
)
def test_a_question_that_does_not_fit_is_refused(place: Path, control: FakeControl, query: str) -> None:
    status, _, _ = say(place, f"GET /api/events{query} HTTP/1.1")

    assert status == 400
