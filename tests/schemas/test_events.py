"""Schemas of events: what a question may be, and that an answer of a later release is read."""

import msgspec
import pytest

from pulse.schemas.events import EventInfo, EventsQuery, MomentQuery


@pytest.mark.parametrize("asked", [{"limit": 0}, {"limit": 1001}, {"after": -1}, {"node": "x" * 256}, {"kind": "join"}])
def test_a_question_has_bounds(asked: dict[str, object]) -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert(asked, EventsQuery)


def test_a_moment_needs_its_time() -> None:
    with pytest.raises(msgspec.ValidationError, match="time"):
        msgspec.convert({}, MomentQuery)


def test_an_answer_of_a_later_release_says_more_and_is_read() -> None:
    said = EventInfo(1, 2.0, "later", "", "", {"who": None})

    assert msgspec.convert(msgspec.structs.asdict(said) | {"later": 1}, EventInfo) == said
