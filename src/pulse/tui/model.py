"""What a table shows, and the least that must change on the screen when the mesh did.

Invariant: everything here is text that is safe to draw: names and tags come from other machines.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from rich.cells import cell_len, set_cell_size

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
    figures: bool = False
    """Stands to the right, and is shown whole: a figure that is cut is another one."""
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


def needed(columns: Sequence[Column], lines: Sequence[Line], places: Sequence[int]) -> dict[int, int]:
    """Characters that each shown column needs for all that stands in it."""
    return {place: max([len(columns[place].title), *(wide(each.cells[place]) for each in lines)]) for place in places}


def fitted(columns: Sequence[Column], needs: Mapping[int, int], room: int) -> dict[int, int]:
    """Characters that each column has: the widest one of words gives way until all fit in `room`."""
    found = dict(needs)
    words = [place for place in found if not columns[place].figures]
    over = sum(found.values()) + GAP * len(found) - room
    while over > 0 and words and found[widest := max(words, key=found.__getitem__)] > SHORTEST:
        found[widest] -= 1
        over -= 1
    return found


def wide(text: str) -> int:
    """Characters of the terminal that a text takes: some scripts take two each."""
    return len(text) if text.isascii() else cell_len(text)


def cut(text: str, room: int) -> str:
    """The text, or as much of it as there is room for, with an ellipsis."""
    return text if wide(text) <= room else f"{set_cell_size(text, max(room - 1, 0))}\N{HORIZONTAL ELLIPSIS}"


def sparkline(values: Sequence[float]) -> str:
    """One character a value, the highest the highest of them."""
    top = max(values, default=0.0)
    if top <= 0:
        return SPARKS[0] * len(values)
    return "".join(SPARKS[min(int(value / top * len(SPARKS)), len(SPARKS) - 1)] for value in values)
