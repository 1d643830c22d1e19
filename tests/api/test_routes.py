"""`/api/routes` over HTTP."""

from pathlib import Path

from tests.api.fake_control import FakeControl
from tests.api.http import say


def test_routes_are_read_by_everybody_and_take_no_query(place: Path, control: FakeControl) -> None:
    status, _, said = say(place, "GET /api/routes HTTP/1.1")

    assert (status, said[0]["cidr"], said[0]["state"]) == (200, "0.0.0.0/0", "offered")
    assert say(place, "GET /api/routes?cidr=x HTTP/1.1")[0] == 400
    assert control.asked == []
