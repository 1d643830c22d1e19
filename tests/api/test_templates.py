"""`/api/templates`: told, set, taken away."""

from pathlib import Path

import pytest

from pulse.schemas.config import TemplateRef, TemplateRequest
from tests.api.fake_control import FakeControl
from tests.api.http import say

JSON = "HTTP/1.1\nContent-Type: application/json"


def test_templates_are_listed_set_and_taken_away(place: Path, control: FakeControl) -> None:
    _, _, body = say(place, "GET /api/templates HTTP/1.1")
    assert body == [{"name": "web", "tags": ["web"], "node_name": "web-*", "ttl": 3600.0, "max_uses": 1}]

    assert say(place, f"PUT /api/templates {JSON}", b'{"name":"db","tags":["db"],"ttl":"4h"}')[0] == 200
    assert say(place, f"DELETE /api/templates {JSON}", b'{"name":"web"}')[0] == 200
    assert control.asked == [TemplateRequest("db", ["db"], "", "4h"), TemplateRef("web")]


@pytest.mark.parametrize("body", [b"{}", b'{"name":"web","uses":1}', b'{"name":"web","ttl":"soon"}'])
def test_what_is_no_template_never_reaches_the_node(place: Path, control: FakeControl, body: bytes) -> None:
    assert say(place, f"PUT /api/templates {JSON}", body)[0] == 400
    assert not control.asked


def test_a_template_that_is_not_there_is_not_found(place: Path, control: FakeControl) -> None:
    assert say(place, f"DELETE /api/templates {JSON}", b'{"name":"gone"}')[0] == 404
