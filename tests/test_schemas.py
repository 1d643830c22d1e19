"""What the API hears is strict, what it says may grow."""

import msgspec
import pytest

from pulse import schemas


@pytest.mark.parametrize(
    "text", ['{"tll":1}', '{"max_uses":-1}', '{"max_uses":true}', '{"max_uses":2000000}', '{"tags":"db"}', "[]"]
)
def test_a_request_with_something_unknown_or_out_of_bounds_is_refused(text: str) -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.json.decode(text, type=schemas.TokenRequest)


@pytest.mark.parametrize("timeout", [0, -1, 61])
def test_a_ping_waits_a_minute_at_most(timeout: float) -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert({"node": "a", "timeout": timeout}, schemas.PingRequest)


def test_an_older_client_reads_what_a_newer_node_says() -> None:
    assert msgspec.json.decode('{"token":"x","colour":"blue"}', type=schemas.MasterToken) == schemas.MasterToken("x")


def test_requests_need_nothing_said_to_mean_the_defaults() -> None:
    assert msgspec.json.decode("{}", type=schemas.TokenRequest) == schemas.TokenRequest()
    assert msgspec.convert({"after": "7"}, schemas.JournalQuery, strict=False) == schemas.JournalQuery(7, 100)
