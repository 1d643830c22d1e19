"""`/api/whereabouts` over HTTP."""

from pathlib import Path

from tests.api.fake_control import FakeControl
from tests.api.http import say


def test_a_host_is_at_its_node_and_one_that_is_not_is_named(place: Path, control: FakeControl) -> None:
    status, _, said = say(place, "GET /api/whereabouts?host=relay-01.pulse HTTP/1.1")
    assert (status, said["name"]) == (200, "relay-01")
    status, _, said = say(place, "GET /api/whereabouts?host=nobody.pulse HTTP/1.1")
    assert (status, said["detail"][:12]) == (404, "nobody.pulse")
    assert say(place, "GET /api/whereabouts HTTP/1.1")[0] == 400
