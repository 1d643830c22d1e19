"""The list of events names every type there is, and every field that stands in the code."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from pulse.core.events import Kind

ROOT = Path(__file__).parents[2]
SOURCES = sorted((ROOT / "src" / "pulse").rglob("*.py"))
ROW = re.compile(r"^\| (?P<type>[a-z]+) \| (?P<fields>[^|]*)\| [^|]+ \|$", re.MULTILINE)


def listed() -> dict[str, set[str]]:
    """Types of events, and the fields each may have."""
    text = (ROOT / "docs" / "reference" / "events.md").read_text(encoding="utf-8")
    rows = {row["type"]: {each.strip() for each in row["fields"].split(",")} - {""} for row in ROW.finditer(text)}
    del rows["type"]
    return rows


def told(source: Path) -> Iterator[tuple[str, set[str]]]:
    """Events as they stand in a file: type, and fields that are spelled out."""
    for node in ast.walk(ast.parse(source.read_text(encoding="utf-8"))):
        match node:
            case ast.Call(func=ast.Name(id="Event"), args=[ast.Attribute(value=ast.Name(id="Kind"), attr=kind), *rest]):
                keys = [key for each in rest for found in ast.walk(each) for key in getattr(found, "keys", [])]
                yield (
                    Kind[kind].value,
                    {key.value for key in keys if isinstance(key, ast.Constant) and isinstance(key.value, str)},
                )


def test_every_type_is_listed_and_none_that_is_gone() -> None:
    assert set(listed()) == {kind.value for kind in Kind}


def test_every_field_is_listed() -> None:
    found = [event for source in SOURCES for event in told(source)]

    assert len(found) > 10
    assert [(kind, fields) for kind, fields in found if not fields <= listed()[kind]] == []


@pytest.mark.parametrize("kind", ["join", "known"])
def test_a_row_has_its_fields(kind: str) -> None:
    assert {"node", "name", "v4", "ca"} <= listed()[kind]
