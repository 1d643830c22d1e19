"""What the docs have of the code itself is what the code says now."""

import html
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from pulse import flags
from pulse.cli.help import TOPICS, summary_of, text_of
from pulse.errors import PulseError
from pulse.lab.demo.story import LEAVE, STEPS

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "deploy" / "wheel" / "data" / "share" / "man" / "man1" / "pulse.1"
WRITTEN = {"cli.md", "topics.md", "settings.md", "errors.md", "sdk.md", "pulse.1"}


def test_the_reference_is_current(tmp_path: Path) -> None:
    # In a process of its own: the commands' names are read off that of the program.
    subprocess.run([sys.executable, str(ROOT / "tools" / "reference.py"), str(tmp_path)], check=True)

    made = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert {path.name for path in made} == WRITTEN
    for path in made:
        kept = ROOT / path.relative_to(tmp_path)
        assert path.read_text(encoding="utf-8") == kept.read_text(encoding="utf-8"), f"{kept}: type make reference"


def test_everything_that_is_typed_is_explained() -> None:
    commands = (ROOT / "docs" / "reference" / "cli.md").read_text(encoding="utf-8")
    assert re.findall(r"^\* `[^`]+`: *(?:\*\*.*)?$", commands, re.MULTILINE) == []


def test_the_picture_of_the_demo_shows_its_steps() -> None:
    picture = (ROOT / "docs" / "demo.svg").read_text(encoding="utf-8")
    missing = [step.title for step in (*STEPS, LEAVE) if html.escape(step.title) not in picture]
    assert missing == [], "type: make picture"


@pytest.mark.skipif(not shutil.which("mandoc"), reason="mandoc is not here")
def test_the_manual_page_is_read_without_complaint() -> None:
    told = subprocess.run(
        ["mandoc", "-T", "lint", "-W", "warning", str(PAGE)], capture_output=True, text=True, check=False
    )
    # It bears no date: it would change without a change of the page.
    assert [line for line in told.stdout.splitlines() if "missing date" not in line] == []

    shown = subprocess.run(["mandoc", "-T", "ascii", str(PAGE)], capture_output=True, text=True, check=True).stdout
    assert "--scribe-listen" in re.sub(".\b", "", shown)


@pytest.mark.parametrize("topic", TOPICS)
def test_a_topic_is_short_and_fits_a_terminal(topic: str) -> None:
    lines = text_of(topic).splitlines()

    assert len(lines) <= 40
    assert [line for line in lines if len(line) > 80] == []
    assert (lines[0], lines[1]) == (summary_of(topic), "")
    assert lines[0].endswith(".")


def test_every_topic_is_listed() -> None:
    there = {path.stem for path in (ROOT / "src" / "pulse" / "cli" / "topics").iterdir()}
    assert there == set(TOPICS)


def test_the_topic_of_variables_names_all_that_have_no_flag() -> None:
    without = {name for name, path in flags.VARIABLES.items() if path in flags.NO_FLAG}
    assert [name for name in sorted(without) if name not in text_of("environment")] == []


def test_the_topic_of_exit_codes_names_each() -> None:
    kinds: list[type[PulseError]] = [PulseError, *PulseError.__subclasses__()]
    codes = {kind.exit_code for kind in kinds}
    assert [code for code in sorted(codes) if f"\n    {code}  " not in text_of("exit-codes")] == []


def test_the_topic_of_files_names_all_that_a_node_keeps() -> None:
    store = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "src" / "pulse" / "store").glob("*.py"))
    kept = set(re.findall(r'^_?(?:FILE|DIRECTORY|NAME): Final = "([^"]+)"', store, re.MULTILINE))
    within_others = {"succession"}

    assert len(kept) > 8
    told = {
        word
        for line in re.findall(r"^    (\S+(?:, \S+)*)  ", text_of("files"), re.MULTILINE)
        for word in line.split(", ")
    }
    assert kept - within_others - {name.rstrip("/") for name in told} == set()

    source = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "src" / "pulse").rglob("*.py"))
    assert [name for name in sorted(told) if f'"{name.rstrip("/")}"' not in source] == []
