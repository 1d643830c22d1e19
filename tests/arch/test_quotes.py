"""What pages quote of the program is what it says."""

import re
from pathlib import Path

from pulse.core import why
from pulse.tui.help import HELP

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "concepts" / "paths.md"


def quoted() -> list[str]:
    """What stands in the column of the sentences."""
    _, _, after = PAGE.read_text(encoding="utf-8").partition("| `pulse why` says |")
    table, _, _ = after.partition("\n\n")
    return re.findall(r"^\| ([^|]+) \|", table, re.MULTILINE)


def test_each_reason_is_on_the_page_in_its_own_words() -> None:
    source = Path(why.__file__).read_text(encoding="utf-8")
    words = [part for each in quoted() for part in each.split("…")]

    assert [each for each in words if each.strip() and each not in source] == []
    assert len(quoted()) == len({*why.Code} - {why.Code.DIRECT})


def test_the_page_about_top_has_its_keys() -> None:
    assert f"```text\n{HELP}\n```\n" in (ROOT / "docs" / "howto" / "top.md").read_text(encoding="utf-8")
