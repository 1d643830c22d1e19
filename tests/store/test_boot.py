"""The boot count goes up with each start, and says so when it had to begin anew."""

from pathlib import Path

import pytest

from pulse.core.paths.noderecord import NUMBER_LIMIT
from pulse.errors import Refused
from pulse.store.boot import Boot, raise_boot, save_boot
from pulse.store.files import open_data_dir, write_checked


@pytest.fixture
def data_dir(tmp_path: Path) -> Path:
    return open_data_dir(tmp_path / "data")


def test_each_start_counts_one_more(data_dir: Path) -> None:
    assert [raise_boot(data_dir) for _ in range(3)] == [Boot(1), Boot(2), Boot(3)]


def test_the_count_is_on_disk_before_anybody_hears_of_it(data_dir: Path) -> None:
    raise_boot(data_dir)
    assert (data_dir / "boot").read_bytes().endswith(b"\n1")
    assert (data_dir / "boot").stat().st_mode & 0o777 == 0o600


def test_a_count_that_neighbours_showed_is_kept(data_dir: Path) -> None:
    save_boot(data_dir, 41)
    assert raise_boot(data_dir) == Boot(42)


def test_a_damaged_count_is_never_taken_for_the_first(data_dir: Path) -> None:
    save_boot(data_dir, 41)
    whole = (data_dir / "boot").read_bytes()
    for at in range(len(whole)):
        for data in (whole[:at], whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :]):
            (data_dir / "boot").write_bytes(data)
            found = raise_boot(data_dir)
            assert found.count == 1
            assert found.warning is not None
            assert "boot is damaged" in found.warning
            assert "neighbour" in found.warning


@pytest.mark.parametrize(
    "text", [b"", b"-1", b"4294967296", b"9223372036854775807", b"seven", b"1" * 5000, "\u0661".encode()]
)
def test_what_is_no_count_is_said_to_be_none(data_dir: Path, text: bytes) -> None:
    write_checked(data_dir / "boot", "boot", text)
    found = raise_boot(data_dir)
    assert found.count == 1
    assert "no boot count" in (found.warning or "")


def test_the_last_count_there_is_stays(data_dir: Path) -> None:
    save_boot(data_dir, NUMBER_LIMIT)
    assert raise_boot(data_dir) == Boot(NUMBER_LIMIT)


def test_a_count_others_can_read_is_refused(data_dir: Path) -> None:
    raise_boot(data_dir)
    (data_dir / "boot").chmod(0o644)
    with pytest.raises(Refused, match="other users"):
        raise_boot(data_dir)
