"""Schemas of routes: what a request may say, and that an answer of a later release is read."""

import msgspec
import pytest

from pulse.schemas.routes import RouteRef, RouteRequest
from tests.api.fake_routes import ROUTE


@pytest.mark.parametrize("said", [{"cidr": "0.0.0.0/0", "color": "red"}, {"cidr": "1" * 65}, {}])
def test_a_request_with_unknown_fields_or_without_a_range_is_an_error(said: dict[str, str]) -> None:
    for kind in (RouteRef, RouteRequest):
        with pytest.raises(msgspec.ValidationError):
            msgspec.convert({"node_id": "db", **said}, kind)


def test_an_answer_of_a_later_release_says_more_and_is_read() -> None:
    assert msgspec.convert(msgspec.structs.asdict(ROUTE) | {"later": 1}, type(ROUTE)) == ROUTE
