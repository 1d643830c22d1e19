"""What is heard about keys is strict."""

import msgspec
import pytest

from pulse.schemas.apikeys import ApiKeyRequest


def test_a_key_reads_unless_said_otherwise() -> None:
    assert msgspec.json.decode(b'{"name":"grafana"}', type=ApiKeyRequest).scope == "read"


@pytest.mark.parametrize("body", [b'{"name":"a","scope":"admin"}', b'{"name":"a","ttl":1}', b'{"scope":"read"}'])
def test_what_is_not_known_is_refused(body: bytes) -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.json.decode(body, type=ApiKeyRequest)
