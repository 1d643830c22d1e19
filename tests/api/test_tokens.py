"""Tokens and invites through the real client."""

from pathlib import Path

import pytest

from pulse.schemas.tokens import TokenRequest
from tests.api.fake_control import FakeControl
from tests.api.http import say


@pytest.mark.parametrize(
    ("body", "seconds"),
    [(b'{"ttl":"4h"}', 14400.0), (b'{"ttl":"1h30m"}', 5400.0), (b'{"ttl":60}', 60.0), (b"{}", None)],
)
def test_the_time_of_a_token_is_in_seconds_or_as_people_write_it(
    place: Path, control: FakeControl, body: bytes, seconds: float | None
) -> None:
    for path, status in (("/api/tokens", 201), ("/api/invite", 201)):
        assert say(place, f"POST {path} HTTP/1.1\nContent-Type: application/json", body)[0] == status
    assert control.asked == [TokenRequest(seconds)] * 2


@pytest.mark.parametrize("body", [b'{"ttl":"4"}', b'{"ttl":""}', b'{"ttl":"0h"}', b'{"ttl":"for ever"}', b'{"ttl":[]}'])
def test_a_time_that_is_none_never_reaches_the_node(place: Path, control: FakeControl, body: bytes) -> None:
    assert say(place, "POST /api/tokens HTTP/1.1\nContent-Type: application/json", body)[0] == 400
    assert not control.asked


def test_a_token_is_ended_by_a_body_too(place: Path, control: FakeControl) -> None:
    head = "DELETE /api/tokens HTTP/1.1\nContent-Type: application/json"

    assert say(place, head, b'{"id":"abab"}')[0] == 200
    assert say(place, head, b'{"id":""}')[0] == 400
    assert say(place, head, b'{"id":"ff"}')[0] == 404
    assert control.asked == ["abab", "ff"]
