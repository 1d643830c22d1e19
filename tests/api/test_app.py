"""The control API from the outside: answers are schemas, errors are problems."""

import logging
from pathlib import Path

import pytest

from pulse.api.app import BODY_LIMIT
from tests.api.fake_control import WEAK, FakeControl
from tests.api.http import say

JSON = "Content-Type: application/json"


def test_an_answer_is_json_of_its_schema(place: Path, control: FakeControl) -> None:
    status, headers, body = say(place, "GET /api/status HTTP/1.1")

    assert status == 200
    assert headers["content-type"] == "application/json"
    assert body["sentence"] == "All well. 2 nodes, 2 direct."


def test_the_server_does_not_say_what_it_is(place: Path, control: FakeControl) -> None:
    _, headers, _ = say(place, "GET /api/status HTTP/1.1")

    assert "server" not in headers


def test_an_error_of_the_node_is_a_problem_with_its_words(place: Path, control: FakeControl) -> None:
    status, headers, body = say(place, f"POST /api/tokens HTTP/1.1\n{JSON}", b'{"name":"abc"}')

    assert status == 403
    assert headers["content-type"] == "application/problem+json"
    assert body["detail"] == WEAK
    assert body["error"] == "Refused"


@pytest.mark.parametrize(
    ("head", "body", "wanted"),
    [
        ("GET /api/nothing HTTP/1.1", b"", 404),
        ("PUT /api/tokens HTTP/1.1", b"", 405),
        ("POST /api/tokens HTTP/1.1", b"{}", 415),
        ("POST /api/tokens HTTP/1.1\nContent-Type: text/plain", b"{}", 415),
        (f"POST /api/tokens HTTP/1.1\n{JSON}", b"", 400),
        (f"POST /api/tokens HTTP/1.1\n{JSON}", b"{", 400),
        (f"POST /api/tokens HTTP/1.1\n{JSON}", b'{"ttl":"soon"}', 400),
        (f"POST /api/tokens?ttl=1 HTTP/1.1\n{JSON}", b"{}", 400),
        ("GET /api/tokens?limit=1 HTTP/1.1", b"", 400),
        ("GET /api/ca/log?limit=1&limit=2 HTTP/1.1", b"", 400),
        (f"POST /api/tokens HTTP/1.1\n{JSON}", b'{"max_uses":1,"max_uses":0}', 400),
        (f"POST /api/tokens HTTP/1.1\n{JSON}", b'{"max_uses":' + b"9" * 5000 + b"}", 400),
        (f"POST /api/tokens HTTP/1.1\n{JSON}", b'{"tll":1}', 400),
        (f"POST /api/tokens HTTP/1.1\n{JSON}", b'{"tags":' + b"[" * 30000, 400),
        (f"POST /api/tokens HTTP/1.1\n{JSON}", b'{"name":"\xff"}', 400),
        (f"POST /api/tokens HTTP/1.1\n{JSON}", b" " * (BODY_LIMIT + 1), 413),
    ],
)
def test_a_request_that_does_not_fit_is_refused(
    place: Path, control: FakeControl, head: str, body: bytes, wanted: int
) -> None:
    status, headers, problem = say(place, head, body)

    assert status == problem["status"] == wanted
    assert headers["content-type"] == "application/problem+json"
    assert not control.asked


def test_another_method_is_told_which_ones_there_are(place: Path, control: FakeControl) -> None:
    _, headers, _ = say(place, "PUT /api/tokens HTTP/1.1")

    assert {"GET", "POST"} <= set(headers["allow"].split(", "))


def test_a_fault_of_ours_is_logged_and_not_told(
    place: Path, control: FakeControl, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.ERROR):
        status, _, problem = say(place, f"POST /api/ping HTTP/1.1\n{JSON}", b'{"node":"bug"}')

    assert status == 500
    assert "a detail" not in str(problem)
    assert [record.message for record in caplog.records] == ["control request failed"]
