"""The totals of traffic on disk."""

from pathlib import Path

import pytest

from pulse.core.stats import Counts, Report, Totals
from pulse.store import stats
from pulse.store.files import open_data_dir
from tests.authority import node

BOOT = b"\x01" * 16


@pytest.fixture
def place(tmp_path: Path) -> Path:
    return open_data_dir(tmp_path / "data")


def counted() -> Totals:
    totals = Totals()
    totals.reported(node("web"), Report(BOOT, 1, Counts(7, 8, 1, 1), 0, 0.0, 0.0), 5.0)
    return totals


def test_totals_come_back_as_they_were(place: Path) -> None:
    stats.save(place, counted())

    totals, warning = stats.load(place)

    assert (totals.book(), warning) == (counted().book(), None)
    assert (place / "stats").stat().st_mode & 0o777 == 0o600


def test_where_there_were_none_it_begins_with_nothing(place: Path) -> None:
    totals, warning = stats.load(place)

    assert (totals.rows(1.0), warning) == ([], None)


@pytest.mark.parametrize("spoil", [lambda data: data[:-1], lambda data: data[:-1] + bytes((data[-1] ^ 1,))])
def test_a_file_that_is_damaged_costs_the_totals_and_a_warning(place: Path, spoil: object) -> None:
    assert callable(spoil)
    stats.save(place, counted())
    (place / "stats").write_bytes(spoil((place / "stats").read_bytes()))

    totals, warning = stats.load(place)

    assert totals.rows(1.0) == []
    assert warning is not None
    assert "nodes that run tell again" in warning
