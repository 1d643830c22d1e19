"""The config and its entity tag: who did not look at what is in force changes nothing."""

from pathlib import Path

import pytest

from tests.api.fake_control import FakeControl
from tests.api.http import say

PUT = "PUT /api/config HTTP/1.1\nContent-Type: application/json"
BODY = b'{"names":{}}'


def test_the_config_is_told_with_its_tag(place: Path, control: FakeControl) -> None:
    status, headers, body = say(place, "GET /api/config HTTP/1.1")

    assert (status, headers["etag"]) == (200, '"1.7"')
    assert body == {"scribe_epoch": 1, "generation": 7, "names": {}, "tags": {}}


@pytest.mark.parametrize("tag", ['"1.7"', '"1.6", "1.7"', '"9.9"\nIf-Match: "1.7"'])
def test_whoever_saw_what_is_in_force_may_replace_it(place: Path, control: FakeControl, tag: str) -> None:
    status, headers, _ = say(place, f"{PUT}\nIf-Match: {tag}", BODY)

    assert (status, headers["etag"]) == (200, '"1.8"')
    assert control.asked == [({"names": {}}, (1, 7))]


def test_whoever_does_not_care_says_so(place: Path, control: FakeControl) -> None:
    assert say(place, f"{PUT}\nIf-Match: *", BODY)[0] == 200
    assert control.asked == [({"names": {}}, None)]


@pytest.mark.parametrize("tag", ['"1.6"', 'W/"1.7"', "1.7", '""', '"1.7.0"', '"01.7x"', "rubbish"])
def test_whoever_saw_another_one_changes_nothing(place: Path, control: FakeControl, tag: str) -> None:
    status, headers, problem = say(place, f"{PUT}\nIf-Match: {tag}", BODY)

    assert status == problem["status"] == 412
    assert headers["content-type"] == "application/problem+json"
    assert problem["error"] == "Conflict"
    assert not control.asked


def test_whoever_looked_at_none_changes_nothing(place: Path, control: FakeControl) -> None:
    status, _, problem = say(place, PUT, BODY)

    assert status == problem["status"] == 428
    assert "If-Match" in problem["detail"]
    assert not control.asked


@pytest.mark.parametrize("body", [b"[]", b"7", b"", b'{"names":'])
def test_a_config_is_an_object(place: Path, control: FakeControl, body: bytes) -> None:
    assert say(place, f"{PUT}\nIf-Match: *", body)[0] == 400
    assert not control.asked
