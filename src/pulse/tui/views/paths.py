"""By which way each node is reached, and how good that is."""

from collections.abc import Mapping
from typing import Final

from pulse.client import Client
from pulse.core.types import SHORT_ID
from pulse.schemas.node import PeerRow
from pulse.schemas.scribe import MeshState
from pulse.tui.model import Line, line, number, word
from pulse.tui.table import LIVELY, Memory, Table, figure, text
from pulse.wording import DASH, milliseconds, percent


def paths(_: Client, state: MeshState, __: Memory) -> list[Line]:
    """The path in use to each node, and where it was pinned."""
    names = {peer.id: peer.name or peer.id[:SHORT_ID] for peer in state.peers}
    return [_path(peer, names) for peer in state.peers]


def _path(peer: PeerRow, names: Mapping[str, str]) -> Line:
    linked = peer.reached
    way = " → ".join(names.get(each, each[:SHORT_ID]) for each in peer.path)
    pin = peer.pinned
    pinned = "" if pin is None else ("direct" if pin.direct else pin.via) + ("" if pin.followed else " (not followed)")
    return line(
        peer.id,
        (names[peer.id], word(names[peer.id])),
        (f"{peer.link}?" if peer.suspect else peer.link if linked else DASH, word(peer.link if linked else "")),
        (str(peer.hops) if linked else DASH, number(peer.hops if linked else None)),
        (milliseconds(peer.rtt if linked else None), number(peer.rtt if linked else None)),
        (milliseconds(peer.jitter if linked else None), number(peer.jitter if linked else None)),
        (percent(peer.loss if linked else None), number(peer.loss if linked else None)),
        (str(peer.mtu) if peer.mtu else DASH, number(peer.mtu or None)),
        (pinned or DASH, word(pinned)),
        (way or peer.last_error or DASH, word(way)),
        (peer.address or DASH, word(peer.address)),
    )


PATHS: Final = Table(
    "paths",
    (
        text("NODE"), text("LINK"), figure("HOPS"), figure("RTT"), figure("JITTER", 90), figure("LOSS"),
        figure("MTU", 95), text("PINNED", 90), text("WAY"), text("ADDRESS", 120),
    ),
    paths,
    "no other node is known yet. Type next: pulse invite",
    LIVELY,
)  # fmt: skip
