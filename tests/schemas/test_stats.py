"""What is asked about traffic is strict."""

import msgspec
import pytest

from pulse.schemas.stats import StatsQuery


def test_all_nodes_are_meant_unless_one_is_named() -> None:
    assert msgspec.convert({}, StatsQuery).node == ""


def test_what_is_not_known_is_refused() -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert({"peer": "web"}, StatsQuery)
