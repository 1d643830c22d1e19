"""Keys: made, listed, ended, whatever is typed as one."""

from pathlib import Path

import pytest

from pulse.calls.apikeys import ApiKeyCalls
from pulse.client import Client
from pulse.errors import NotFound
from pulse.schemas.apikeys import ApiKeyRequest
from tests.api.fake_control import KEY, FakeControl


def test_keys_come_and_go(place: Path, control: FakeControl) -> None:
    with Client(place) as client:
        calls = ApiKeyCalls(client)
        assert calls.create_api_key(ApiKeyRequest("grafana")).info == KEY
        assert calls.list_api_keys() == [KEY]
        assert calls.revoke_api_key("grafana") == KEY
        with pytest.raises(NotFound, match="no key is named"):
            calls.revoke_api_key("no one")
