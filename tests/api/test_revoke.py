"""Revoking through the real client, and as the reference's body has it."""

import tempfile
from pathlib import Path

import pytest

from pulse.calls.revoke import RevokeCalls
from pulse.client import Client
from pulse.errors import Refused
from pulse.schemas.revoke import Revoked, RevokeRequest
from tests.api.doors import doors
from tests.api.fake_control import LAST, FakeControl
from tests.api.fake_ways import ID
from tests.api.http import say

JSON = "Content-Type: application/json"


def test_a_node_to_revoke_reaches_the_node(place: Path, control: FakeControl) -> None:
    with Client(place) as client:
        assert RevokeCalls(client).revoke("cam-7") == Revoked(ID, "cam-7", "ca")
        RevokeCalls(client).revoke("relay-01", force=True)

    assert control.asked == [RevokeRequest("cam-7"), RevokeRequest("relay-01", force=True)]


def test_the_last_ca_is_refused_in_the_words_of_the_node(place: Path, control: FakeControl) -> None:
    with Client(place) as client, pytest.raises(Refused) as refused:
        RevokeCalls(client).revoke("relay-01")

    assert str(refused.value) == LAST


def test_no_key_is_good_for_force() -> None:
    with tempfile.TemporaryDirectory(prefix="pulse-", dir="/tmp") as place, doors(Path(place)) as node:
        status, _, told = node.ask("write", "POST /api/revoke HTTP/1.1", b'{"node_id":"relay-01","force":true}')
        assert (status, node.control.asked) == (403, [])
        assert "pulse revoke --force" in str(told)
        assert node.ask("write", "POST /api/revoke HTTP/1.1", b'{"node_id":"cam-7"}')[0] == 200


@pytest.mark.parametrize(
    ("body", "status"), [(b'{"node_id":"cam-7"}', 200), (b'{"node":"cam-7"}', 400), (b"{}", 400), (b"[]", 400)]
)
def test_the_body_is_that_of_the_reference_and_strict(
    place: Path, control: FakeControl, body: bytes, status: int
) -> None:
    assert say(place, f"POST /api/revoke HTTP/1.1\n{JSON}", body)[0] == status
    assert bool(control.asked) is (status == 200)
