"""The pins on disk: a person's word, durable, and never a reason not to start."""

from pathlib import Path

import msgspec
import pytest

from pulse.core.paths.pins import MOST_PINS
from pulse.core.types import NodeId
from pulse.store import pins
from pulse.store.files import open_data_dir, write_checked
from tests.authority import node

PINS = {node("db"): node("relay"), node("cam"): node("cam")}


@pytest.fixture
def data_dir(tmp_path: Path) -> Path:
    return open_data_dir(tmp_path / "data")


def test_pins_come_back_as_they_were_and_the_last_word_counts(data_dir: Path) -> None:
    assert pins.load(data_dir) == ({}, None)

    pins.save(data_dir, PINS)
    assert pins.load(data_dir) == (PINS, None)

    pins.save(data_dir, {})
    assert pins.load(data_dir) == ({}, None)


def test_as_many_as_there_may_be_are_kept(data_dir: Path) -> None:
    many = {NodeId(f"{number:064x}"): node("relay") for number in range(MOST_PINS)}
    pins.save(data_dir, many)
    assert pins.load(data_dir) == (many, None)


def test_a_damaged_file_costs_its_contents_and_a_warning_with_the_next_step(data_dir: Path) -> None:
    pins.save(data_dir, PINS)
    whole = (data_dir / "pins").read_bytes()
    (data_dir / "pins").write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    found, warning = pins.load(data_dir)
    assert found == {}
    assert warning is not None
    assert "pins is damaged" in warning
    assert warning.endswith("pulse pin <node> <via>")


def test_values_out_of_bounds_cost_the_contents_too(data_dir: Path) -> None:
    write_checked(data_dir / "pins", "pins", msgspec.msgpack.encode([[["x" * 65, "y"]]]))
    found, warning = pins.load(data_dir)
    assert found == {}
    assert warning is not None
    assert "cannot be read" in warning
