"""What the docs show of TOML is what pulse reads."""

import re
import tomllib
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from pulse.cli import configtext, rulefile
from pulse.cli.help import text_of
from pulse.config import NodeConfig
from pulse.errors import PulseError
from pulse.lab.scenario import read

ROOT = Path(__file__).parents[2]
BLOCK = re.compile(r"^```toml\n(.*?)^```", re.MULTILINE | re.DOTALL)
TEXTS = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
BLOCKS = [(path, block) for path in TEXTS for block in BLOCK.findall(path.read_text(encoding="utf-8"))]


def _settings(path: Path) -> None:
    msgspec.convert(tomllib.loads(path.read_text(encoding="utf-8")), NodeConfig)


READERS: tuple[Callable[[Path], object], ...] = (
    _settings,
    lambda path: configtext.read(str(path)),
    lambda path: rulefile.read(str(path)),
    lambda path: read(str(path), path.read_text(encoding="utf-8")),
)


def refusals(path: Path) -> list[str]:
    """Why none of those who read TOML takes this file; empty if one does."""
    found = []
    for reader in READERS:
        try:
            reader(path)
        except (PulseError, msgspec.ValidationError, tomllib.TOMLDecodeError) as error:
            found.append(str(error))
        else:
            return []
    return found


@pytest.mark.parametrize(("path", "block"), BLOCKS, ids=[f"{path.name}-{n}" for n, (path, _) in enumerate(BLOCKS)])
def test_a_block_is_read(path: Path, block: str, tmp_path: Path) -> None:
    file = tmp_path / "shown.toml"
    file.write_text(block, encoding="utf-8")
    assert refusals(file) == []


def test_the_topic_of_settings_is_read(tmp_path: Path) -> None:
    shown = re.findall(r"^    (\[\w+\]|\w+ = .*)$", text_of("settings"), re.MULTILINE)
    file = tmp_path / "shown.toml"
    file.write_text("\n".join(shown), encoding="utf-8")
    assert len(shown) > 5
    assert refusals(file) == []


def test_what_nobody_reads_is_found(tmp_path: Path) -> None:
    file = tmp_path / "shown.toml"
    file.write_text("[node]\nlisen = ':443'\n", encoding="utf-8")
    assert len(refusals(file)) == len(READERS)
