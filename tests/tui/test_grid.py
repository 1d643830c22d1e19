"""The table as it is drawn: widths before the first frame, and no more drawn than what changed."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

from textual.app import App, ComposeResult

from pulse.tui.grid import Grid
from pulse.tui.model import Column, Line, line, number, word

PATIENCE: Final = 30.0

COLUMNS: Final = (Column("NODE"), Column("RTT", figures=True), Column("NOTE"))


def row(name: str, rtt: str, note: str = "") -> Line:
    return line(name, (name, word(name)), (rtt, number(1.0)), (note, word(note)))


class Alone(App[None]):
    """A grid and nothing else."""

    def compose(self) -> ComposeResult:
        yield Counted("table")


class Counted(Grid):
    """Counts how often all is filled anew."""

    filled = 0

    def _fill(self, lines: list[Line]) -> None:
        self.filled += 1
        super()._fill(lines)


@asynccontextmanager
async def grid() -> AsyncIterator[Counted]:
    app = Alone()
    async with app.run_test(size=(60, 10)) as pilot:
        found = app.query_one(Counted)
        found.lay_out(COLUMNS, [0, 1, 2])
        await pilot.pause()
        yield found


async def test_names_are_whole_though_their_titles_are_shorter() -> None:
    async with grid() as found:
        found.draw([row("relay-01", "22.8 ms")], 57)
        assert [found.columns[key].width for key in found.columns] == [8, 7, 4]


async def test_what_outgrows_its_column_widens_it_without_filling_all_anew() -> None:
    async with grid() as found:
        found.draw([row("a", "1 ms"), row("b", "2 ms")], 57)
        found.draw([row("a", "1 ms"), row("b", "2000.0 ms")], 57)
        assert found.columns[next(key for key in found.columns if key.value == "1")].width == 9
        assert found.filled == 1
        assert str(found.get_cell("b", "1")) == "2000.0 ms"


async def test_where_another_column_must_give_way_for_it_its_cells_are_cut_anew() -> None:
    async with grid() as found:
        found.draw([row("a", "1 ms", "n" * 40)], 57)
        found.draw([row("a", "1 ms" * 4, "n" * 40)], 57)
        assert found.filled == 2
        assert str(found.get_cell("a", "2")) == "n" * 30 + "…"


async def test_what_is_out_of_sight_is_drawn_when_it_comes_into_sight() -> None:
    def told(rtt: str) -> list[Line]:
        return [row(f"n{number}", rtt) for number in range(100)]

    async with grid() as found:
        found.draw(told("1 ms"), 57)
        found.draw(told("2 ms"), 57)
        assert [str(found.get_cell(each, "1")) for each in ("n0", "n99")] == ["2 ms", "1 ms"]
        async with asyncio.timeout(PATIENCE):
            while found.max_scroll_y == 0:
                await asyncio.sleep(0.01)
        found.scroll_end(animate=False, force=True, immediate=True)
        assert str(found.get_cell("n99", "1")) == "2 ms"
        assert str(found.get_cell("n50", "1")) == "1 ms"


async def test_a_line_that_changed_out_of_sight_and_went_is_not_missed() -> None:
    async with grid() as found:
        found.draw([row(f"n{number}", "1 ms") for number in range(100)], 57)
        found.draw([row(f"n{number}", "2 ms") for number in range(100)], 57)
        found.draw([row("n99", "3 ms")], 57)
        assert [str(found.get_cell("n99", place)) for place in ("0", "1")] == ["n99", "3 ms"]


async def test_without_lines_none_is_chosen() -> None:
    async with grid() as found:
        assert found.chosen is None


async def test_the_line_under_the_cursor_stays_chosen() -> None:
    async with grid() as found:
        found.draw([row("a", "1 ms"), row("b", "2 ms")], 57)
        found.move_cursor(row=1)
        found.draw([row("c", "1 ms"), row("a", "1 ms"), row("b", "2 ms")], 57)
        assert found.chosen is not None
        assert found.chosen.key == "b"
