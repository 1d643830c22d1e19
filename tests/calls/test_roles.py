"""Roles: given, taken, and what a network keeps."""

from pathlib import Path

import pytest

from pulse.calls.roles import RoleCalls
from pulse.client import Client
from pulse.errors import Refused
from pulse.schemas.roles import RoleRequest
from tests.api.fake_control import ROLES, FakeControl


def test_roles_are_listed_given_and_taken(place: Path, control: FakeControl) -> None:
    wanted = RoleRequest("laptop", "operator")
    with Client(place) as client:
        calls = RoleCalls(client)
        assert [calls.roles(), calls.grant(wanted), calls.ungrant("laptop", "operator")] == [ROLES] * 3

    assert control.asked == [wanted, wanted]


def test_the_only_scribe_is_kept(place: Path, control: FakeControl) -> None:
    with Client(place) as client, pytest.raises(Refused, match="keeps its scribe"):
        RoleCalls(client).ungrant("db-server", "scribe")
