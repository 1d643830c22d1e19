"""The CA: its journal by pages, its check, and a key that is replaced once at a time."""

from pathlib import Path

import pytest

from pulse.calls.ca import CaCalls
from pulse.client import Client
from pulse.errors import ConfigError, Conflict, NotFound
from tests.api.fake_control import FakeControl


def test_the_journal_comes_in_pages_with_its_check(place: Path, control: FakeControl) -> None:
    with Client(place) as client:
        assert [each.seq for each in CaCalls(client).ca_log(after=7, limit=2)] == [8, 9]
        assert CaCalls(client).ca_verify().broken is None


def test_a_key_is_replaced_once_at_a_time(place: Path, control: FakeControl) -> None:
    with Client(place) as client:
        assert CaCalls(client).ca_rotate() == CaCalls(client).ca_rotation()
        with pytest.raises(Conflict, match="being replaced already"):
            CaCalls(client).ca_rotate()


def test_it_goes_on_without_nodes_that_are_there(place: Path, control: FakeControl) -> None:
    with Client(place) as client:
        assert [each.name for each in CaCalls(client).ca_go_on_without(["cam-7", "db"]).without] == ["cam-7", "db"]
        with pytest.raises(NotFound, match="nobody"):
            CaCalls(client).ca_go_on_without(["nobody"])
        with pytest.raises(ConfigError, match="nodes"):
            CaCalls(client).ca_go_on_without([])
