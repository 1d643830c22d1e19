"""The line at the bottom, to type in.

Invariant: a line is entered once, with what was typed before Enter; what is typed after it waits for whoever opened it.
"""

from textual.events import Key
from textual.widgets import Input


class Prompt(Input):
    """Says `Submitted` and then keeps the keys that come, until it is opened again."""

    def __init__(self) -> None:
        """Closed."""
        super().__init__(id="line", select_on_focus=False)
        self._ahead: list[Key] | None = None
        """Keys since it was entered; None before."""

    def open(self, text: str, hint: str) -> None:
        """Be written in, from this text on; what was typed ahead is forgotten."""
        self._ahead = None
        self.value, self.placeholder, self.display = text, hint, True
        self.cursor_position = len(text)

    def close(self) -> list[Key]:
        """Go out of sight; returns what was typed ahead."""
        ahead, self._ahead = self._ahead or [], None
        self.display = False
        return ahead

    async def on_key(self, event: Key) -> None:
        """Here and not by a binding, whose turn comes after the keys that were typed with this one."""
        if self._ahead is None and event.key != "enter":
            return
        event.prevent_default()
        event.stop()
        if self._ahead is not None:
            self._ahead.append(Key(event.key, event.character))
            return
        self._ahead = []
        await self.action_submit()
