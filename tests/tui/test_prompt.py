"""The line at the bottom by itself: entered once, and what comes after waits."""

import asyncio

from textual.app import App, ComposeResult
from textual.events import Key
from textual.widgets import Input

from pulse.tui.prompt import Prompt


class Alone(App[None]):
    """Nothing but the line; keeps what it was entered with."""

    def __init__(self) -> None:
        super().__init__()
        self.entered: list[str] = []

    def compose(self) -> ComposeResult:
        yield Prompt()

    def on_input_submitted(self, event: Input.Submitted) -> None:
        self.entered.append(event.value)


async def test_what_is_typed_behind_enter_waits_for_whoever_opened_the_line() -> None:
    app = Alone()
    async with app.run_test() as pilot:
        line = app.query_one(Prompt)
        line.open("tag ", "a command")
        line.focus()
        for key in ("w", "enter", "y", "enter"):
            app.post_message(Key(key, key if len(key) == 1 else "\r"))
        async with asyncio.timeout(30):
            while not app.entered:
                await pilot.pause()
        assert app.entered == ["tag w"]
        assert [key.key for key in line.close()] == ["y", "enter"]
        assert line.close() == []

        line.open("", "y or n")
        await pilot.press("n", "enter")
        assert app.entered == ["tag w", "n"]
