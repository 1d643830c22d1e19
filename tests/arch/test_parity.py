"""The list of promises names tests that are there."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PARITY = ROOT / "docs" / "reference" / "parity.md"
ROW = re.compile(r"^\| (?P<item>[^|]+) \| (?P<see>[^|]+) \| (?P<test>[^|]+) \|$", re.MULTILINE)
HEADINGS = {"item", "---"}


def promises() -> list[tuple[str, str]]:
    rows = ROW.finditer(PARITY.read_text(encoding="utf-8"))
    return [(row["item"], row["test"]) for row in rows if row["item"] not in HEADINGS]


def is_there(test: str) -> bool:
    place, _, name = test.partition("::")
    path = ROOT / place if place.startswith("crates/") else ROOT / "tests" / place
    return path.is_file() and (
        not name or re.search(rf"\b(def|fn) {name}\b", path.read_text(encoding="utf-8")) is not None
    )


def test_there_are_promises() -> None:
    assert len(promises()) > 40


@pytest.mark.parametrize(("item", "test"), [pair for pair in promises() if not pair[1].startswith("by hand")])
def test_a_promise_has_the_test_it_names(item: str, test: str) -> None:
    assert is_there(test), f"{item}: there is no {test}"


def test_a_test_that_is_not_there_is_noticed() -> None:
    assert not is_there("arch/test_parity.py::test_of_nothing")
    assert not is_there("arch/test_nothing.py")
    assert is_there("crates/pulse-dataplane/src/policy_tests.rs::it_agrees_with_a_naive_model")
    assert not is_there("crates/pulse-dataplane/src/policy_tests.rs::it_agrees_with_nobody")
