"""How links and dials ended, in words for people who never read our protocol.

Invariant: what is not known here is told as it came; the log has it so in any case.
"""

import re
from typing import Final

ELSE: Final = "; over WebSocket: "
"""Between how a dial ended over QUIC and how over a WebSocket."""

_BY_PEER: Final = re.compile(r"closed by peer(?:: )?(.*)", re.DOTALL)

_SILENT: Final = re.compile(r"silent for (\S+ s)")

_ECHOES: Final = "8 echoes in a row are missing"

_SAID: Final = {
    "": "it closed the link",
    "leaving": "it was stopped",
    "this node took another identity": "it took another identity",
    "not trusted any more": "it does not trust this node any more",
    "certificate": "it refuses this node's certificate",
    "protocol": "it says that this node broke the protocol",
    "too many records": "it says that this node sends too much",
}
"""What neighbours close links with."""


def in_words(reason: str) -> str:
    """The reason that the data plane gave, with "it" for the node at the other end."""
    return ELSE.join(map(_told, reason.split(ELSE)))


def _told(reason: str) -> str:
    if reason == _ECHOES:
        # 200 ms from one to the next, and until the last of them is overdue.
        return "no answer for about 2 s"
    if silent := _SILENT.fullmatch(reason):
        return f"no answer for {silent[1]}"
    if closed := _BY_PEER.fullmatch(reason):
        return _SAID.get(closed[1], f"it closed the link: {closed[1]}")
    return reason
