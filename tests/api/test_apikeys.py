"""Keys through the real client."""

from pathlib import Path

import pytest

from pulse.calls.apikeys import ApiKeyCalls
from pulse.client import Client
from pulse.errors import NotFound
from pulse.schemas.apikeys import ApiKeyRequest
from tests.api.doors import doors
from tests.api.fake_control import KEY, FakeControl
from tests.api.http import say

JSON = "Content-Type: application/json"


def test_keys_are_made_listed_and_revoked(place: Path, control: FakeControl) -> None:
    with Client(place) as client:
        assert ApiKeyCalls(client).create_api_key(ApiKeyRequest("grafana")).info == KEY
        assert ApiKeyCalls(client).list_api_keys() == [KEY]
        assert ApiKeyCalls(client).revoke_api_key("c0ff") == KEY

    assert control.asked == [ApiKeyRequest("grafana"), "c0ff"]


@pytest.mark.parametrize("named", ["", "a/b", "?", "a b", "no one"])
def test_an_unknown_key_is_told_whatever_was_typed(place: Path, control: FakeControl, named: str) -> None:
    with Client(place) as client, pytest.raises(NotFound):
        ApiKeyCalls(client).revoke_api_key(named)


@pytest.mark.parametrize("body", [b"{}", b'{"name":1}', b'{"name":"a","scope":"admin"}', b'{"name":"a","for":"b"}'])
def test_bodies_are_strict(place: Path, control: FakeControl, body: bytes) -> None:
    assert say(place, f"POST /api/keys HTTP/1.1\n{JSON}", body)[0] == 400
    assert not control.asked


def test_who_shows_a_key_is_told_what_it_is_good_for(place: Path) -> None:
    with doors(place.parent) as node:
        told = {role: node.ask(role, "GET /api/key HTTP/1.1") for role in (*node.keys, "local")}

    assert [told[role][2]["scope"] for role in ("read", "write", "local")] == ["read", "write", "all"]
    assert [told[role][0] for role in ("revoked", "nobody")] == [401, 401]
