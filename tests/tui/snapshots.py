"""Screens of `pulse top` as text, kept in files beside: what differs is shown line by line.

Below the picture stand the attributes by which a part of it is told from the rest: the view that is shown, the cursor,
what failed. Colours are left out: none carries a meaning alone.
"""

import difflib
import os
import time
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path
from typing import Any, Final

from rich.style import Style
from textual.app import App
from textual.pilot import Pilot
from textual.strip import Strip

KEPT: Final = Path(__file__).parent / "snapshots"

PATIENCE: Final = 10.0
"""Seconds in which a screen comes to look as it is to look."""

STILL: Final = 0.5
"""Seconds for which nothing moves on a screen that is kept."""

WRITES: Final = "PULSE_SNAPSHOTS"
"""Variable that has the files written instead of compared: PULSE_SNAPSHOTS=write."""


async def agrees(name: str, pilot: Pilot[Any], patience: float = PATIENCE) -> None:
    """Wait until the screen is that of the file. Raises AssertionError with the lines that differ."""
    path = KEPT / f"{name}.txt"
    if os.environ.get(WRITES) == "write":
        await pilot.pause(STILL)
        path.write_text(picture(pilot.app), encoding="utf-8")
    assert path.exists(), f"there is no {path.name}. Write it, and look at it: {WRITES}=write"
    kept = path.read_text(encoding="utf-8")
    end = time.monotonic() + patience
    while (found := picture(pilot.app)) != kept and time.monotonic() < end:
        await pilot.pause(0.02)
    differ = difflib.unified_diff(kept.splitlines(), found.splitlines(), f"{name} as kept", f"{name} now", lineterm="")
    assert found == kept, "\n".join([*differ, f"If that is meant: {WRITES}=write pytest tests/tui/test_screens.py"])


def picture(app: App[Any]) -> str:
    """What the terminal shows, and below it what is marked."""
    lines = app.screen._compositor.render_strips()
    marks = [(mark, place) for place, line in enumerate(lines, 1) for mark in _marks(line)]
    return "\n".join([*(line.text.rstrip() for line in lines), "", *_gathered(marks), ""])


def _marks(line: Strip) -> Iterator[str]:
    """Places of a line that have an attribute, neighbours with the same ones as one; blanks at its end are not bold."""
    at, words = 0, len(line.text.rstrip())
    for word, segments in groupby(line, lambda segment: _word(segment.style)):
        begun, at = at, at + sum(segment.cell_length for segment in segments)
        end = min(at, words) if word == "bold" else at
        if word and begun < end:
            yield f"{begun + 1}-{end}: {word}"


def _word(style: Style | None) -> str:
    return " ".join(name for name in ("bold", "reverse", "underline") if style is not None and getattr(style, name))


def _gathered(marks: list[tuple[str, int]]) -> Iterator[str]:
    """The same mark on lines one below the other as one, such as a scrollbar."""
    places: dict[str, list[int]] = {}
    for mark, place in marks:
        places.setdefault(mark, []).append(place)
    for mark, found in places.items():
        for _, group in groupby(enumerate(found), lambda pair: pair[1] - pair[0]):
            first, *rest = [place for _, place in group]
            yield f"line {first}{f'-{rest[-1]}' if rest else ''}, {mark}"
