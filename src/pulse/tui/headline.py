"""The first line of `pulse top`: what is so, and at which node; or since when nobody says so any more.

Invariant: the sentence goes first: where both have no room the node gives way, then the sentence ends in an ellipsis.
"""

from rich.text import Text
from textual.app import ComposeResult
from textual.containers import Horizontal
from textual.widgets import Static

from pulse.core.messages import printable
from pulse.errors import LinkError, PulseError
from pulse.schemas.scribe import MeshState
from pulse.tui.model import GAP, cut, wide
from pulse.wording import span


class Headline(Horizontal):
    """One line, as the node told it last."""

    def __init__(self) -> None:
        """Empty."""
        super().__init__(id="top")
        self._sentence = self._node = ""
        self._seen: float | None = None
        """When the node told what is shown, by a clock that only goes on."""

    def compose(self) -> ComposeResult:
        """From left to right."""
        yield Static(id="sentence")
        yield Static(id="node")

    def seen(self, state: MeshState, now: float) -> None:
        """The node told how things are."""
        node = state.node
        self._sentence, self._seen = printable(state.sentence), now
        self._node = printable(f"{node.network} · {node.name} {node.v4}")
        self._draw(failed=False)

    def missed(self, why: PulseError, now: float) -> None:
        """It did not: nobody is to take for now what was told then."""
        who = "The node is gone or silent" if isinstance(why, LinkError) else "The node tells nothing new"
        since = "" if self._seen is None else f": what is shown is {span(now - self._seen)} old"
        self._sentence = f"{who}{since}."
        self._draw(failed=True)

    def on_resize(self) -> None:
        """There is other room now."""
        self._lay_out()

    def _draw(self, *, failed: bool) -> None:
        self.query_one("#sentence", Static).set_class(failed, "failed")
        self._lay_out()

    def _lay_out(self) -> None:
        room = self.size.width
        fits = wide(self._sentence) + GAP + wide(self._node) <= room
        self.query_one("#sentence", Static).update(Text(cut(self._sentence, room), no_wrap=True))
        self.query_one("#node", Static).update(Text(self._node if fits else "", no_wrap=True))
