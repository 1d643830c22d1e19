"""Hits by rule through the real client."""

from pathlib import Path

from pulse.calls.acls import AclCalls
from pulse.client import Client
from pulse.schemas.policy import HitsQuery
from tests.api.fake_acls import OWN, SUMMED
from tests.api.fake_control import FakeControl
from tests.api.http import say


def test_hits_of_all_and_of_this_node_are_told(place: Path, control: FakeControl) -> None:
    with Client(place) as client:
        assert (AclCalls(client).hits(HitsQuery()), AclCalls(client).hits(HitsQuery(here=True))) == (SUMMED, OWN)


def test_whose_hits_is_yes_or_no(place: Path, control: FakeControl) -> None:
    status, _, problem = say(place, "GET /api/acls/hits?here=perhaps HTTP/1.1")

    assert (status, control.asked) == (400, [])
    assert "here" in problem["detail"]
