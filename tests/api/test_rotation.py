"""A CA's key is replaced from its own machine, once at a time; how far that is may be read from afar."""

from pathlib import Path

from tests.api.doors import doors
from tests.api.fake_control import FakeControl
from tests.api.http import say

HEAD = "/api/ca/rotation HTTP/1.1"


def test_it_is_begun_once_and_told(place: Path, control: FakeControl) -> None:
    assert say(place, f"GET {HEAD}")[2]["step"] == "done"
    status, _, told = say(place, f"POST {HEAD}")
    assert (status, told["step"]) == (202, "renewing")
    assert say(place, f"GET {HEAD}")[2] == told

    status, _, problem = say(place, f"POST {HEAD}")
    assert (status, problem["error"]) == (409, "Conflict")
    assert "being replaced already" in problem["detail"]


def test_over_tcp_it_is_only_read(place: Path) -> None:
    with doors(place.parent) as node:
        assert [node.ask(role, f"POST {HEAD}")[0] for role in ("read", "write")] == [405, 405]
        assert [node.ask(role, f"GET {HEAD}")[2]["step"] for role in ("read", "write")] == ["done", "done"]
