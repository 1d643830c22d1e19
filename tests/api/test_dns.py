"""`/api/dns`: told, added, taken away."""

from pathlib import Path

import pytest

from pulse.schemas.dns import RecordRef, RecordRequest
from tests.api.fake_control import FakeControl
from tests.api.http import say

JSON = "HTTP/1.1\nContent-Type: application/json"


def test_records_are_listed_added_and_taken_away(place: Path, control: FakeControl) -> None:
    _, _, body = say(place, "GET /api/dns HTTP/1.1")
    assert body == [{"name": "db.pulse", "type": "CNAME", "value": "vm-01.pulse", "ttl": 60}]

    status, _, body = say(place, f"POST /api/dns {JSON}", b'{"name":"lan","type":"A","value":"10.9.0.1","ttl":300}')
    assert (status, body["version"], body["records"][0]["ttl"]) == (200, "1.8", 300)
    assert say(place, f"DELETE /api/dns {JSON}", b'{"name":"db.pulse","type":"CNAME"}')[0] == 200
    assert control.asked == [RecordRequest("lan", "A", "10.9.0.1", 300), RecordRef("db.pulse", "CNAME")]


@pytest.mark.parametrize(
    "body", [b"{}", b'{"name":"a","type":"A"}', b'{"name":"a","type":"A","value":"x","ttl":0}', b'{"name":"a","tll":1}']
)
def test_what_is_no_record_never_reaches_the_node(place: Path, control: FakeControl, body: bytes) -> None:
    assert say(place, f"POST /api/dns {JSON}", body)[0] == 400
    assert not control.asked


def test_no_is_said_in_words(place: Path, control: FakeControl) -> None:
    status, _, body = say(place, f"POST /api/dns {JSON}", b'{"name":"a","type":"MX","value":"x"}')
    assert (status, body["error"]) == (403, "Refused")
    assert say(place, f"DELETE /api/dns {JSON}", b'{"name":"gone","type":"A"}')[0] == 404
