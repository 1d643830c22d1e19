"""What the API hears is strict, what it says may grow."""

import pkgutil
from importlib import import_module

import msgspec
import pytest

from pulse import schemas
from pulse.schemas.journal import JournalQuery
from pulse.schemas.node import PingRequest
from pulse.schemas.structs import Body, View
from pulse.schemas.tokens import MasterToken, TokenRequest

MODULES = [import_module(f"{schemas.__name__}.{each.name}") for each in pkgutil.iter_modules(schemas.__path__)]
KINDS = sorted(
    {
        kind
        for module in MODULES
        for kind in vars(module).values()
        if isinstance(kind, type) and issubclass(kind, msgspec.Struct) and kind not in (Body, View)
    },
    key=lambda kind: kind.__qualname__,
)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__qualname__)
def test_all_that_is_heard_is_strict_and_all_that_is_said_may_grow(kind: type[msgspec.Struct]) -> None:
    assert issubclass(kind, Body | View)
    assert kind.__struct_config__.forbid_unknown_fields is issubclass(kind, Body)
    assert kind.__struct_config__.frozen


@pytest.mark.parametrize(
    "text", ['{"tll":1}', '{"max_uses":-1}', '{"max_uses":true}', '{"max_uses":2000000}', '{"tags":"db"}', "[]"]
)
def test_a_request_with_something_unknown_or_out_of_bounds_is_refused(text: str) -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.json.decode(text, type=TokenRequest)


@pytest.mark.parametrize("timeout", [0, -1, 61])
def test_a_ping_waits_a_minute_at_most(timeout: float) -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert({"node": "a", "timeout": timeout}, PingRequest)


def test_an_older_client_reads_what_a_newer_node_says() -> None:
    assert msgspec.json.decode('{"token":"x","colour":"blue"}', type=MasterToken) == MasterToken("x")


def test_requests_need_nothing_said_to_mean_the_defaults() -> None:
    assert msgspec.json.decode("{}", type=TokenRequest) == TokenRequest()
    assert msgspec.convert({"after": "7"}, JournalQuery, strict=False) == JournalQuery(7, 100)
