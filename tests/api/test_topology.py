"""The links of the mesh, over HTTP."""

from pathlib import Path

from tests.api.fake_control import FakeControl
from tests.api.fake_ways import ID
from tests.api.http import say


def test_links_arrive_with_their_ends_by_place(place: Path, control: FakeControl) -> None:
    status, _, said = say(place, "GET /api/topology HTTP/1.1")

    assert (status, said["nodes"]) == (200, [ID, "9" * 64])
    assert said["links"] == [{"one": 0, "other": 1, "rtt": 0.0228, "loss": 0.0, "link": "quic", "suspect": False}]


def test_nothing_is_asked_of_it(place: Path, control: FakeControl) -> None:
    status, _, said = say(place, "GET /api/topology?node=laptop HTTP/1.1")

    assert (status, said["error"]) == (400, "ConfigError")
