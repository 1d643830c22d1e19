"""Traffic over HTTP."""

from pathlib import Path

from tests.api.fake_control import FakeControl
from tests.api.fake_stats import REFUSAL
from tests.api.http import say


def test_traffic_is_told_by_node_and_of_one_by_peer(place: Path, control: FakeControl) -> None:
    status, _, all_of_them = say(place, "GET /api/stats HTTP/1.1")
    assert (status, [each["name"] for each in all_of_them["rows"]]) == (200, ["relay-01", "db-server"])

    _, _, one = say(place, "GET /api/stats?node=relay-01 HTTP/1.1")
    assert (one["of"], one["rows"][0]["bytes_out"]) == ("relay-01", 999_950)


def test_what_may_not_be_known_and_what_nobody_asks_is_refused(place: Path, control: FakeControl) -> None:
    status, _, problem = say(place, "GET /api/stats?node=db-server HTTP/1.1")
    assert (status, problem["detail"]) == (403, REFUSAL)
    status, _, problem = say(place, "GET /api/stats?peer=x HTTP/1.1")
    assert (status, problem["error"]) == (400, "ConfigError")
