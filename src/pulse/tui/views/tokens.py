"""Join tokens, where they are kept."""

from typing import Final

from pulse.calls.tokens import TokenCalls
from pulse.client import Client
from pulse.core.types import SHORT_ID
from pulse.schemas.scribe import MeshState
from pulse.tui.model import Line, line, number, word
from pulse.tui.table import SLOW, Memory, Table, text
from pulse.wording import DASH, moment


def tokens(client: Client, _: MeshState, __: Memory) -> list[Line]:
    """Each with what is left of it, and who joined by it."""
    return [
        line(
            each.id,
            (each.id[:SHORT_ID], word(each.id)),
            (each.state, word(each.state)),
            (f"{each.uses}/{each.max_uses or '∞'}", number(each.uses)),
            (moment(each.expires) if each.expires else "never", number(each.expires)),
            (each.name or DASH, word(each.name or "")),
            (" ".join(each.tags) or DASH, word(" ".join(each.tags))),
            (" ".join(each.used_by) or DASH, word(" ".join(each.used_by))),
        )
        for each in TokenCalls(client).list_tokens()
    ]


TOKENS: Final = Table(
    "tokens",
    (
        text("TOKEN"), text("STATE"), text("USES"), text("UNTIL"), text("NAME"), text("TAGS", 90), text("USED BY", 110),
    ),
    tokens,
    "no tokens. Press a for one",
    SLOW,
)  # fmt: skip
