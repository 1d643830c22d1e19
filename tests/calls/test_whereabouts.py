"""`/api/whereabouts`: the host arrives as it was written, and so does what is said of it."""

from pathlib import Path

import pytest

from pulse.calls.whereabouts import WhereaboutsCalls
from pulse.client import Client
from pulse.errors import NotFound
from pulse.schemas.whereabouts import HostQuery
from tests.api.fake_control import FakeControl
from tests.api.fake_whereabouts import FOUND


def test_a_host_is_found_at_its_node_or_named_as_unknown(place: Path, control: FakeControl) -> None:
    with Client(place) as client:
        assert WhereaboutsCalls(client).find("relay-01.pulse") == FOUND
        with pytest.raises(NotFound, match="a&b is not in this mesh"):
            WhereaboutsCalls(client).find("a&b")
    assert control.asked == [HostQuery("relay-01.pulse"), HostQuery("a&b")]
