"""What a table shows, and the least that must change on the screen when the mesh did.

Invariant: everything here is text that is safe to draw: names and tags come from other machines.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from pulse.core.messages import printable

SPARKS: Final = "▁▂▃▄▅▆▇█"

GAP: Final = 2
"""Characters beside each column."""

SHORTEST: Final = 8
"""Characters to which a column is made less: still a name."""

Sortable = tuple[int, float, str]
"""Numbers before words, and what is not known last."""

UNKNOWN: Final[Sortable] = (2, 0.0, "")


@dataclass(frozen=True, slots=True)
class Column:
    """One column of a table."""

    title: str
    right: bool = False
    wide: int = 0
    """Characters of a screen that has room for it."""


@dataclass(frozen=True, slots=True)
class Line:
    """One row: what tells it from the others, what it shows, and by what it is sorted, column by column."""

    key: str
    cells: tuple[str, ...]
    order: tuple[Sortable, ...]


@dataclass(frozen=True, slots=True)
class Update:
    """How to come from the lines shown to those wanted."""

    anew: bool
    """Other lines, or in another order: the table is filled again."""
    cells: list[tuple[str, int, str]]
    """Key of the line, number of the column, text; if not `anew`."""


@dataclass(frozen=True, slots=True)
class Sorting:
    """By which column, and which way; None is the order in which the node tells them."""

    column: int | None = None
    falling: bool = False

    def next(self, places: Sequence[int]) -> "Sorting":
        """The column after this one, of those at these places, and after the last one none."""
        return Sorting(next((each for each in places if self.column is None or each > self.column), None))


def number(value: float | None) -> Sortable:
    """Sorts as a number."""
    return UNKNOWN if value is None else (0, float(value), "")


def word(text: str) -> Sortable:
    """Sorts as a word."""
    return (1, 0.0, text.casefold()) if text else UNKNOWN


def line(key: str, *cells: tuple[str, Sortable]) -> Line:
    """A line of cells, each with what it is sorted by."""
    return Line(key, tuple(printable(text) for text, _ in cells), tuple(order for _, order in cells))


def arranged(lines: Iterable[Line], wanted: str, sorting: Sorting) -> list[Line]:
    """The lines in which every word of `wanted` is found, in order."""
    words = wanted.casefold().split()
    found = [each for each in lines if all(any(word in cell.casefold() for cell in each.cells) for word in words)]
    column = sorting.column
    if column is None:
        return found
    known = [each for each in found if each.order[column] != UNKNOWN]
    return [
        *sorted(known, key=lambda each: each.order[column], reverse=sorting.falling),
        *(each for each in found if each.order[column] == UNKNOWN),
    ]


def update(shown: Sequence[Line], wanted: Sequence[Line]) -> Update:
    """What to change on the screen."""
    if [each.key for each in shown] != [each.key for each in wanted]:
        return Update(True, [])
    cells = [
        (new.key, place, text)
        for old, new in zip(shown, wanted, strict=True)
        if old.cells is not new.cells
        for place, (before, text) in enumerate(zip(old.cells, new.cells, strict=True))
        if before != text
    ]
    return Update(False, cells)


def limits(columns: Sequence[Column], lines: Sequence[Line], places: Sequence[int], room: int) -> dict[int, int]:
    """Characters of those shown columns that have less than they need: the widest gives way until all fit in `room`."""
    needed = {place: max([len(columns[place].title), *(len(each.cells[place]) for each in lines)]) for place in places}
    found = dict(needed)
    over = sum(found.values()) + GAP * len(found) - room
    while over > 0 and found[widest := max(found, key=found.__getitem__)] > SHORTEST:
        found[widest] -= 1
        over -= 1
    return {place: wide for place, wide in found.items() if wide < needed[place]}


def cut(text: str, room: int) -> str:
    """The text, or as much of it as there is room for, with an ellipsis."""
    return text if len(text) <= room else f"{text[: max(room - 1, 0)]}\N{HORIZONTAL ELLIPSIS}"


def sparkline(values: Sequence[float]) -> str:
    """One character a value, the highest the highest of them."""
    top = max(values, default=0.0)
    if top <= 0:
        return SPARKS[0] * len(values)
    return "".join(SPARKS[min(int(value / top * len(SPARKS)), len(SPARKS) - 1)] for value in values)
