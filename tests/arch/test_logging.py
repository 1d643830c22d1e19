"""The list of log events names all there are, and none that is gone."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
SOURCES = sorted((ROOT / "src" / "pulse").rglob("*.py"))
LISTED = re.compile(r"^\| (?P<events>[^|]+) \| (debug|info|warning|error) \|", re.MULTILINE)
LEVELS = {"debug", "info", "warning", "error", "exception", "critical"}
MADE_UP = "…"
"""Stands in the list for what an event is filled in with."""


def listed() -> set[str]:
    text = (ROOT / "docs" / "reference" / "logging.md").read_text(encoding="utf-8")
    rows = [row["events"] for row in LISTED.finditer(text.partition("## Data plane")[0])]
    # A comma divides the events of a row, and stands inside two of them.
    inside = {"stored object damaged, the one before it is used", "stored revocation damaged, its node stays out"}
    return {event for row in rows for event in ([row] if row in inside else row.split(", "))}


def logged(source: Path) -> Iterator[str]:
    """The events that stand in a file as they are logged."""
    for node in ast.walk(ast.parse(source.read_text(encoding="utf-8"))):
        match node:
            case ast.Call(func=ast.Name(id="Log"), args=[event, *_]):
                yield from texts(event)
            case ast.Call(func=ast.Attribute(value=ast.Name(id="log"), attr=attr), args=[event, *_]) if attr in LEVELS:
                yield from texts(event)


def texts(event: ast.expr) -> list[str]:
    choices = [event.body, event.orelse] if isinstance(event, ast.IfExp) else [event]
    return [each.value for each in choices if isinstance(each, ast.Constant) and isinstance(each.value, str)]


def test_every_event_is_listed() -> None:
    events = {event for source in SOURCES for event in logged(source)}

    assert len(events) > 40
    assert events - listed() == set()


def test_every_event_listed_is_there() -> None:
    everything = "\n".join(source.read_text(encoding="utf-8") for source in SOURCES)

    assert [event for event in listed() if MADE_UP not in event and f'"{event}"' not in everything] == []
