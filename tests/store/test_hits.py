"""The sums of hits on disk."""

from pathlib import Path

import pytest

from pulse.core.network.tally import Report, Tally
from pulse.store import hits
from pulse.store.files import open_data_dir
from tests.authority import node

BOOT = b"\x01" * 16


@pytest.fixture
def place(tmp_path: Path) -> Path:
    return open_data_dir(tmp_path / "data")


def counted() -> Tally:
    tally = Tally()
    tally.reported(node("web"), Report(BOOT, 1, {"r1": 7, "": 2}), {"r1"}, 5.0)
    return tally


def test_sums_come_back_as_they_were(place: Path) -> None:
    hits.save(place, counted())

    tally, warning = hits.load(place)

    assert (tally.sums(), warning) == (counted().sums(), None)
    assert (place / "hits").stat().st_mode & 0o777 == 0o600


def test_where_there_were_none_it_begins_with_nothing(place: Path) -> None:
    assert [hits.load(place)[0].sums().sums, hits.load(place)[1]] == [[], None]


@pytest.mark.parametrize("spoil", [lambda data: data[:-1], lambda data: data[:-1] + bytes((data[-1] ^ 1,))])
def test_a_file_that_is_damaged_costs_the_sums_and_a_warning(place: Path, spoil: object) -> None:
    assert callable(spoil)
    hits.save(place, counted())
    (place / "hits").write_bytes(spoil((place / "hits").read_bytes()))

    tally, warning = hits.load(place)

    assert tally.sums().sums == []
    assert warning is not None
    assert "nodes that run tell again" in warning
