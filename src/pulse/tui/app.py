"""`pulse top` as an application of textual: one table, one line of what is so, and one line to type in.

Invariant: the node is asked in a thread, one question at a time, and what is drawn is what changed. Another thread
follows its events: what happens is looked at when it happens, and only figures that move all the time are asked for.
Keys mean what they mean when their turn comes, however fast they are typed: the table hears of none by a queue of its
own, and none is a key of the table while the line or a pane is open.
"""

import gc
import os
import threading
import time
from pathlib import Path
from typing import ClassVar, Final

from rich.text import Text
from textual import on, work
from textual.app import App, ComposeResult
from textual.binding import Binding, BindingType
from textual.events import Key, Resize
from textual.widgets import DataTable, Input, Static
from textual.worker import Worker, get_current_worker

from pulse.calls.events import EventCalls
from pulse.client import API_URL, connect
from pulse.errors import PulseError
from pulse.schemas.scribe import MeshState
from pulse.tui import commands
from pulse.tui.grid import Grid
from pulse.tui.headline import Headline
from pulse.tui.help import HELP, KEYS
from pulse.tui.model import Line, Sorting, arranged, cut
from pulse.tui.pane import Pane
from pulse.tui.prompt import Prompt
from pulse.tui.reasons import described
from pulse.tui.table import Memory, Table
from pulse.tui.tables import TABLES

STIRRED: Final = 1.0
"""Seconds between two looks, at least, however much happens."""

MISSED: Final = 1.0
"""Seconds until a node that did not answer is asked again."""

PAUSE: Final = 0.2
"""Seconds in which the thread that follows events hears that it is to end."""

SHARE: Final = 10.0
"""A look is followed by a pause of so many times the processor time it took, drawing included."""

GARBAGE: Final = 200_000
"""Objects made until dead cycles are looked for: a look at thousands of nodes makes tens of thousands, and no cycle."""

FILTER: Final = "filter"
COMMAND: Final = "command"
QUESTION: Final = "question"
HINTS: Final = {FILTER: "words to look for", COMMAND: "a view, or a command of pulse", QUESTION: "y or n"}

BORDER: Final = 3
"""Characters of the table that no column has: the scrollbar, and a space."""


class TopApp(App[None]):
    """The mesh in a terminal."""

    CSS_PATH = "pulse.tcss"
    ENABLE_COMMAND_PALETTE = False
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding(key, action, show=False, priority=True) for key, action in KEYS.items()
    ]

    def __init__(self, data_dir: Path | None) -> None:
        """Show the node of that data directory; the one that runs here, if none is given."""
        super().__init__()
        self.data_dir = data_dir
        self.table = TABLES[0]
        self.wanted = ""
        self.sorting = Sorting()
        self.purpose = ""
        """Of the line at the bottom; empty while it is closed."""
        self.asked: commands.Command | None = None
        """What waits for a yes."""
        self._memory = Memory()
        self._places: list[int] = []
        """Columns of the table that the screen has room for."""
        self._room = 0
        """Characters of a line of the screen."""
        self._stirred, self._ended = threading.Event(), threading.Event()
        self._missing = False
        """The last look failed, and the line under the table says why."""
        self._lines: list[Line] = []

    # Drawing

    def compose(self) -> ComposeResult:
        """The screen from top to bottom."""
        yield Headline()
        yield Static(id="views")
        yield Grid("table")
        yield Static(id="note")
        yield Prompt()

    def on_mount(self) -> None:
        """Begin to look."""
        gc.set_threshold(GARBAGE)
        self._line.close()
        self._room = self.size.width
        self._change(self.table)
        self.follow()

    def on_unmount(self) -> None:
        """Let the threads go."""
        self._ended.set()
        self._stirred.set()

    def on_resize(self, event: Resize) -> None:
        """Have the columns that there is room for now."""
        self._room = event.size.width
        if self._places:
            self._lay_out()
            self._draw()

    def _change(self, table: Table) -> None:
        """Show another table."""
        self.table, self._lines, self.sorting = table, [], Sorting()
        self._lay_out()
        self._name_views()
        self._say("")
        self.look()

    def _lay_out(self) -> None:
        """An empty table with as many columns as fit."""
        self._places = self._fitting(self._room)
        self._grid.lay_out(self.table.columns, self._places)

    def _fitting(self, room: int) -> list[int]:
        return [place for place, column in enumerate(self.table.columns) if column.wide <= room]

    def _name_views(self) -> None:
        shown = Text(no_wrap=True)
        for place, each in enumerate(TABLES, 1):
            shown.append(f" {place} {each.name}", "reverse" if each is self.table else "")
        self.query_one("#views", Static).update(shown)

    def _draw(self) -> None:
        """Bring the table to what is wanted of the lines there are."""
        self._grid.draw(arranged(self._lines, self.wanted, self.sorting), self._room - BORDER)

    @property
    def _grid(self) -> Grid:
        return self.query_one("#table", Grid)

    def _say(self, text: str, *, failed: bool = False) -> None:
        """One line under the table."""
        note = self.query_one("#note", Static)
        note.update(Text(cut(text, self._room - BORDER)))
        note.set_class(failed, "failed")
        if not text:
            shown = f"filter: {self.wanted}" if self.wanted else ""
            if self.sorting.column is not None:
                column = self.table.columns[self.sorting.column].title
                shown = f"{shown}  sorted by {column}{' ↓' if self.sorting.falling else ' ↑'}"
            note.update(Text(shown.strip() or "? help  / filter  : command  d details  s sort  q back"))

    # Looking

    @work(thread=True, exclusive=True)
    def look(self) -> None:
        """Ask the node again and again, until another view is wanted."""
        worker, table = get_current_worker(), self.table
        while not worker.is_cancelled:
            self._stirred.clear()
            used = time.process_time()
            try:
                with connect(self.data_dir) as client:
                    status = client.mesh()
                    lines = table.ask(client, status, self._memory)
            except PulseError as error:
                self.call_from_thread(self._missed, table, error)
            else:
                self.call_from_thread(self._seen, table, status, lines)
            ended, pause = time.monotonic(), max(STIRRED, SHARE * (time.process_time() - used))
            self._pause(worker, ended + pause, ended + max(pause, MISSED if self._missing else table.every))

    def _pause(self, worker: Worker[None], least: float, most: float) -> None:
        """Wait until something happened, but for `most` at the latest and for `least` at least."""
        while not worker.is_cancelled and not self._ended.is_set() and (now := time.monotonic()) < most:
            if now >= least and self._stirred.is_set():
                return
            time.sleep(0.05)

    @work(thread=True)
    def follow(self) -> None:
        """Hear what happens, for as long as the interface lives."""
        worker = get_current_worker()
        while not (worker.is_cancelled or self._ended.is_set()):
            try:
                with connect(self.data_dir) as client:
                    for event in EventCalls(client).follow_events(PAUSE):
                        if event is not None:
                            self._stirred.set()
                        if self._ended.is_set():
                            return
            except PulseError:
                # The look says what is wrong; where there is no place for one more reader, its pauses have to do.
                pass
            self._ended.wait(MISSED)

    def _seen(self, table: Table, status: MeshState, lines: list[Line]) -> None:
        if not self._is_drawn(table):
            return
        self.query_one(Headline).seen(status, time.monotonic())
        first, self._lines = not self._lines, lines
        self._draw()
        if self._missing:
            self._missing = False
            self._say("")
        if first and not lines:
            self._say(table.empty)

    def _is_drawn(self, table: Table) -> bool:
        """False too once the screen is taken down, while the last look ends."""
        return table is self.table and bool(self.screen_stack[0].query("#sentence").nodes)

    def _missed(self, table: Table, why: PulseError) -> None:
        if self._is_drawn(table):
            self._missing = True
            self.query_one(Headline).missed(why, time.monotonic())
            self._say(" ".join(str(why).splitlines()), failed=True)

    # Keys

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:  # noqa: ARG002 (textual calls it so)
        """False for keys of the table while what is typed is for the line, or for a pane over both."""
        if action in ("quit", "command_palette"):
            return True
        return len(self.screen_stack) == 1 and (not self.purpose or action == "leave")

    async def action_move(self, how: str) -> None:
        """The cursor, as the table moves it."""
        await self.run_action(how, self._grid)

    def action_view(self, place: int) -> None:
        """Another view, by its number."""
        self.wanted = ""
        self._change(TABLES[place])

    def action_sort(self) -> None:
        """Sort by the next column."""
        self.sorting = self.sorting.next(self._places)
        self._say("")
        self._draw()

    def action_turn(self) -> None:
        """Turn the order round."""
        self.sorting = Sorting(self.sorting.column, not self.sorting.falling)
        self._say("")
        self._draw()

    def action_type(self, purpose: str, text: str = "") -> None:
        """Open the line at the bottom."""
        self.purpose = purpose
        self._line.open(text or (self.wanted if purpose == FILTER else ""), HINTS[purpose])
        # At once: keys that were typed with this one are for the line, and neither Tab nor the mouse leads away.
        self.screen.set_focus(self._line)
        self._grid.can_focus = False

    def action_write(self, key: str) -> None:
        """Write the command of a key, to be finished and entered."""
        chosen = self._grid.chosen
        text = commands.written(key, chosen.cells if chosen else (), self.table.name)
        if text:
            self.action_type(COMMAND, text)

    def action_leave(self) -> None:
        """Close the line, or forget the filter."""
        if not self.purpose or self.purpose == FILTER:
            self.wanted = ""
        self._close_line()
        self._draw()

    def action_out(self) -> None:
        """To the first view, and from there out."""
        if self.table is TABLES[0] and not self.wanted:
            self.exit()
            return
        self.wanted = ""
        self._change(TABLES[0])

    def action_help(self) -> None:
        """What the keys do."""
        self.push_screen(Pane("pulse top", HELP))

    @on(DataTable.RowSelected, "#table")
    def _chosen(self) -> None:
        """The mouse."""
        if not self.purpose:
            self.action_describe()

    def action_describe(self) -> None:
        """All there is to say of the line under the cursor."""
        chosen = self._grid.chosen
        if chosen is not None:
            pane = Pane(chosen.cells[0], "asking …")
            self.push_screen(pane)
            self._describe(pane, chosen)

    @work(thread=True)
    def _describe(self, pane: Pane, chosen: Line) -> None:
        titles = [column.title for column in self.table.columns]
        told = described(self.data_dir, self.table.name, titles, chosen)
        self.call_from_thread(pane.show, told)

    # The line

    @on(Input.Changed, "#line")
    def _typed(self, event: Input.Changed) -> None:
        if self.purpose == FILTER:
            self.wanted = event.value
            self._draw()

    @on(Input.Submitted, "#line")
    async def _entered(self, event: Input.Submitted) -> None:
        purpose, text = self.purpose, event.value.strip()
        ahead = self._close_line()
        if purpose == QUESTION:
            command, self.asked = self.asked, None
            if command and text.casefold() in ("y", "yes"):
                self._run(command)
            else:
                self._say("nothing is changed")
        elif purpose == COMMAND:
            self._command(text)
        if self.purpose != QUESTION:
            # Nobody answers a question that was not there yet.
            for key in ahead:
                await self.on_event(key)

    @property
    def _line(self) -> Prompt:
        return self.query_one("#line", Prompt)

    def _close_line(self) -> list[Key]:
        """Returns what was typed ahead."""
        self.purpose = ""
        ahead = self._line.close()
        self._grid.can_focus = True
        self.screen_stack[0].set_focus(self._grid)
        self._say("")
        return ahead

    def _command(self, text: str) -> None:
        view = next((place for place, each in enumerate(TABLES) if text and each.name.startswith(text)), None)
        if view is not None:
            self.action_view(view)
            return
        found = commands.read(text, elsewhere=self.data_dir is None and API_URL in os.environ)
        if isinstance(found, str):
            self._say(found, failed=True)
        elif found.question:
            self.asked = found
            self.action_type(QUESTION)
            self._say(found.question)
        else:
            self._run(found)

    @work(thread=True)
    def _run(self, command: commands.Command) -> None:
        self.call_from_thread(self._say, f"pulse {' '.join(command.words)} …")
        done = commands.run(command, self.data_dir, left=self._ended.is_set)
        if not self._ended.is_set():
            self.call_from_thread(self._told, command, done)

    def _told(self, command: commands.Command, done: commands.Done) -> None:
        lines = done.text.splitlines()
        note = " ".join(lines[:2])
        self._say(note, failed=done.failed)
        if len(lines) > 2 or len(note) > self._room - BORDER:
            self.push_screen(Pane(f"pulse {' '.join(command.words)}", done.text))
        self.look()
