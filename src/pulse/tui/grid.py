"""The table of `pulse top`: draws what changed where it is seen, in columns as wide as what stands in them.

Invariant: what is out of sight is brought up to date before it comes into sight. Widths are set before anything is
drawn: left to the toolkit they come after a first frame, of which it keeps cells as they were cut then; and each growth
costs a look at all cells of a column.
"""

from collections.abc import Sequence
from typing import Literal

from rich.text import Text
from textual.widgets import DataTable
from textual.widgets.data_table import ColumnKey

from pulse.tui.model import Column, Line, Update, cut, fitted, needed, update, wide


class Grid(DataTable[Text]):
    """Lines under the titles of those columns that the screen has room for."""

    def __init__(self, name: str) -> None:
        """Empty, without columns."""
        super().__init__(id=name, cursor_type="row", zebra_stripes=False)
        self._kinds: Sequence[Column] = ()
        self._places: list[int] = []
        self._drawn: list[Line] = []
        self._room: dict[int, int] = {}
        """Characters of each column."""
        self._short: set[int] = set()
        """Columns that have less than they need."""
        self._late: dict[tuple[str, int], str] = {}
        """Cells out of sight that say something else by now."""

    def lay_out(self, columns: Sequence[Column], places: list[int]) -> None:
        """Have these of the columns, and no lines."""
        self._kinds, self._places, self._drawn = columns, places, []
        self._late.clear()
        self._room = {place: len(columns[place].title) for place in places}
        self.clear(columns=True)
        for place in places:
            self.add_column(self._cell(place, columns[place].title), width=self._room[place], key=str(place))

    def draw(self, lines: list[Line], room: int) -> None:
        """Bring the screen to these lines, in so many characters; the cursor stays with its line."""
        change, before = update(self._drawn, lines), self._room
        if change.anew or self._outgrown(change):
            needs = needed(self._kinds, lines, self._places)
            self._room = fitted(self._kinds, needs, room)
            self._short = {place for place, least in needs.items() if self._room[place] < least}
            for place, characters in self._room.items():
                self.columns[ColumnKey(str(place))].width = characters
        if change.anew or any(self._room[place] < characters for place, characters in before.items()):
            self._fill(lines)
        else:
            shown = {*self._places}
            self._late.update(((key, place), text) for key, place, text in change.cells if place in shown)
            self._catch_up(lines)
        self._drawn = lines

    def watch_scroll_y(self, before: float, now: float) -> None:
        """What comes into sight says what is so."""
        super().watch_scroll_y(before, now)
        self._catch_up(self._drawn)

    def on_resize(self) -> None:
        """More may be in sight now."""
        self._catch_up(self._drawn)

    @property
    def chosen(self) -> Line | None:
        """The line under the cursor."""
        return self._drawn[self.cursor_row] if self.is_valid_row_index(self.cursor_row) else None

    def _outgrown(self, change: Update) -> bool:
        """Something needs more room than there is, in a column that had enough."""
        found = self._room
        return any(wide(text) > found[place] for _, place, text in change.cells if place in found.keys() - self._short)

    def _catch_up(self, lines: list[Line]) -> None:
        """Draw what changed of the lines in sight, and of those one could come to before the next frame."""
        first, high = int(self.scroll_y), self.size.height
        near = {each.key for each in lines[max(first - high, 0) : first + 2 * high]}
        for key, place in [each for each in self._late if each[0] in near]:
            self.update_cell(key, str(place), self._cell(place, self._late.pop((key, place))))

    def _fill(self, lines: list[Line]) -> None:
        at, place = self.chosen, self.cursor_row
        self._late.clear()
        self.clear()
        for each in lines:
            self.add_row(*(self._cell(number, each.cells[number]) for number in self._places), key=each.key)
        found = (number for number, each in enumerate(lines) if at is not None and each.key == at.key)
        self.move_cursor(row=max(next(found, min(place, len(lines) - 1)), 0))

    def _cell(self, place: int, text: str) -> Text:
        side: Literal["left", "right"] = "right" if self._kinds[place].figures else "left"
        return Text(cut(text, self._room[place]), justify=side, no_wrap=True)
