"""A pane over the table, with text to read."""

from typing import ClassVar

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.screen import ModalScreen
from textual.widgets import Static


class Pane(ModalScreen[None]):
    """A title, and text under it, drawn as it is."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape,q,d,enter,question_mark", "dismiss", "close")]

    def __init__(self, title: str, text: str) -> None:
        """The text may come later, by `show`."""
        super().__init__()
        self._title, self._text = title, text

    def compose(self) -> ComposeResult:
        """A box that scrolls."""
        with VerticalScroll(id="pane") as box:
            box.border_title = Text(self._title).plain
            yield Static(id="text")

    def on_mount(self) -> None:
        """The text may have come while the box was made."""
        self.show(self._text)

    def show(self, text: str) -> None:
        """Show this instead."""
        self._text = text
        for box in self.query("#text").results(Static):
            box.update(Text(text))
