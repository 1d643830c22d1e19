"""The list of refusals names tests that are there, and leaves out nothing of the rogue-relay suite."""

import re
from pathlib import Path

import pytest

from tests.arch.test_parity import is_there

REFUSALS = Path(__file__).parents[2] / "docs" / "reference" / "refusals.md"
ROW = re.compile(r"^\| (?P<item>[^|]+) \| (?P<test>[^|]+) \| (?P<said>[^|]+) \|$", re.MULTILINE)
HEADINGS = {"refused", "---"}


def rows() -> list[tuple[str, str]]:
    found = ROW.finditer(REFUSALS.read_text(encoding="utf-8"))
    return [(row["item"], row["test"]) for row in found if row["item"] not in HEADINGS]


@pytest.mark.parametrize(("item", "test"), rows())
def test_a_refusal_has_the_test_it_names(item: str, test: str) -> None:
    assert is_there(test), f"{item}: there is no {test}"


def test_no_part_of_the_rogue_relay_suite_is_left_out() -> None:
    assert len(rows()) > 90
    assert {f"R{number}" for number in range(1, 11)} <= {item.split()[0] for item, _ in rows()}
