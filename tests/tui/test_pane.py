"""A pane draws text as it is: what other machines said moves nothing on the screen."""

from textual.app import App
from textual.widgets import Static

from pulse.tui.pane import Pane


async def test_markup_in_the_text_is_text() -> None:
    app = App[None]()
    async with app.run_test() as pilot:
        pane = Pane("title", "[bold]not bold[/bold]")
        await app.push_screen(pane)
        await pilot.pause()
        assert str(pane.query_one("#text", Static).render()) == "[bold]not bold[/bold]"
