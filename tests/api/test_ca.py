"""The journal through the real client."""

from pathlib import Path

import pytest

from pulse.calls.ca import CaCalls
from pulse.cli.ca import tail_of
from pulse.client import Client
from pulse.errors import ConfigError
from tests.api.fake_control import FakeControl
from tests.api.http import say


def test_the_log_is_read_in_pages(place: Path, control: FakeControl) -> None:
    with Client(place) as client:
        assert [entry.seq for entry in CaCalls(client).ca_log(after=3, limit=2)] == [4, 5]


def test_the_tail_of_a_long_log_is_its_end(place: Path, control: FakeControl) -> None:
    with Client(place) as client:
        assert [entry.seq for entry in tail_of(client, 3)] == [2498, 2499, 2500]


def test_the_check_of_the_chain_arrives(place: Path, control: FakeControl) -> None:
    with Client(place) as client:
        assert CaCalls(client).ca_verify().entries == 2500


@pytest.mark.parametrize("query", ["limit=0", "limit=1001", "limit=x", "after=-1", "aftr=1"])
def test_a_query_that_does_not_fit_is_refused(place: Path, control: FakeControl, query: str) -> None:
    status, _, problem = say(place, f"GET /api/ca/log?{query} HTTP/1.1")

    assert status == 400
    assert query.partition("=")[0] in problem["detail"]


def test_an_answer_never_has_more_than_a_thousand_entries(place: Path, control: FakeControl) -> None:
    with Client(place) as client:
        assert len(CaCalls(client).ca_log()) == 1000
        with pytest.raises(ConfigError):
            CaCalls(client).ca_log(limit=5000)
