"""What nodes have counted, on disk."""

from pathlib import Path

import pytest

from pulse.core.network.hits import HITS
from pulse.core.network.tally import Report, Tally
from pulse.core.stats import TRAFFIC
from pulse.store import tally
from pulse.store.files import open_data_dir
from tests.authority import node

BOOT = b"\x01" * 16


@pytest.fixture
def place(tmp_path: Path) -> Path:
    return open_data_dir(tmp_path / "data")


def counted(flows: int = 7) -> Tally:
    found = Tally(HITS)
    found.names_known({"r1", ""})
    found.reported(node("web"), Report(BOOT, 1, {"r1": flows, "": 2}), 5.0)
    return found


def test_tallies_come_back_as_they_were_each_kind_from_its_own_file(place: Path) -> None:
    tally.save(place, counted())
    tally.save(place, Tally(TRAFFIC))

    found, warning = tally.load(place, HITS)

    assert (found.ledgered(), found.kind, warning) == (counted().ledgered(), HITS, None)
    assert tally.load(place, TRAFFIC)[0].lives == {}
    assert (place / "hits").stat().st_mode & 0o777 == 0o600


def test_where_there_were_none_it_begins_with_nothing(place: Path) -> None:
    found, warning = tally.load(place, HITS)

    assert (found.lives, warning) == ({}, None)


@pytest.mark.parametrize("spoil", [lambda data: data[:-1], lambda data: data[:-1] + bytes((data[-1] ^ 1,))])
def test_a_file_that_is_damaged_costs_the_sums_and_a_warning(place: Path, spoil: object) -> None:
    assert callable(spoil)
    tally.save(place, counted())
    (place / "hits").write_bytes(spoil((place / "hits").read_bytes()))

    found, warning = tally.load(place, HITS)

    assert found.lives == {}
    assert warning is not None
    assert "those that run tell again" in warning
