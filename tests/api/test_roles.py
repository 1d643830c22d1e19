"""Roles through the real client."""

from pathlib import Path

import pytest

from pulse.calls.roles import RoleCalls
from pulse.client import Client
from pulse.errors import Refused
from pulse.schemas.roles import RoleRequest
from tests.api.fake_control import KEPT, ROLES, FakeControl
from tests.api.http import say

JSON = "Content-Type: application/json"


def test_roles_are_told_given_and_taken(place: Path, control: FakeControl) -> None:
    with Client(place) as client:
        granted = RoleCalls(client).grant(RoleRequest("laptop", "operator"))
        assert RoleCalls(client).roles() == granted == RoleCalls(client).ungrant("laptop", "operator") == ROLES

    assert control.asked == [RoleRequest("laptop", "operator")] * 2


def test_a_refusal_arrives_in_the_words_of_the_node(place: Path, control: FakeControl) -> None:
    with Client(place) as client, pytest.raises(Refused) as refused:
        RoleCalls(client).ungrant("db-server", "scribe")
    assert str(refused.value) == KEPT


@pytest.mark.parametrize(("body", "status"), [(b'{"node_id":"cam-7"}', 400), (b"{}", 400), (b"[]", 400)])
def test_a_body_that_does_not_fit_is_refused(place: Path, control: FakeControl, body: bytes, status: int) -> None:
    assert say(place, f"POST /api/roles HTTP/1.1\n{JSON}", body)[0] == status
    assert control.asked == []


def test_a_word_that_is_no_role_is_refused_and_shown_escaped(place: Path, control: FakeControl) -> None:
    body = b'{"node_id":"cam-7","role":"king\\u001b\\u202e"}'
    status, _, problem = say(place, f"POST /api/roles HTTP/1.1\n{JSON}", body)

    assert (status, control.asked) == (400, [])
    assert problem["detail"].startswith("the request does not fit: Invalid enum value 'king")
    assert problem["detail"].isprintable()
