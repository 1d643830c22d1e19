"""Files that settings come from: read whole, or refused."""

from pathlib import Path

import pytest

from pulse.errors import ConfigError
from pulse.settings import load


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        ({"config": "/dev/zero"}, "/dev/zero is longer than 1048576 characters"),
        ({"token-file": "/dev/zero"}, "/dev/zero is longer than 4096 characters"),
    ],
)
def test_a_file_without_end_is_refused(flags: dict[str, str], said: str) -> None:
    file = Path(flags.pop("config")) if "config" in flags else None
    with pytest.raises(ConfigError, match=said):
        load(flags, (), file, environment={})


def test_ranges_beyond_what_a_file_may_hold_are_not_cut_off(tmp_path: Path) -> None:
    ranges = tmp_path / "ranges"
    ranges.write_text("10.9.0.0/16\n" * 6000)
    file = tmp_path / "config.toml"
    file.write_text(f'[exit]\nroutes_file = "{ranges}"\n')
    with pytest.raises(ConfigError, match=r"exit\.routes_file: .*ranges is longer than 65536 characters"):
        load({}, (), file, environment={})


def test_a_byte_order_mark_is_no_part_of_a_file(tmp_path: Path) -> None:
    file = tmp_path / "config.toml"
    file.write_bytes(b"\xef\xbb\xbf[node]\nname = 'db'\n")
    assert load({}, (), file, environment={}).node.name == "db"
