"""The nodes of the mesh, as this one sees them."""

import time
from collections.abc import Sequence
from typing import Final

from pulse.client import Client
from pulse.core.types import SHORT_ID
from pulse.schemas.node import PeerRow
from pulse.schemas.scribe import MeshState
from pulse.tui.model import Line, line, number, sparkline, word
from pulse.tui.table import LIVELY, Memory, Table, figure, text
from pulse.wording import DASH, milliseconds, percent, span, speed

CERTIFICATES_EVERY: Final = 60.0
"""Seconds between two questions when certificates end."""


def nodes(client: Client, state: MeshState, memory: Memory) -> list[Line]:
    """How each is reached, what it moves, and who it is."""
    peers, now = state.peers, time.monotonic()
    memory.rates_in.looked({peer.id: peer.bytes_in for peer in peers}, now)
    memory.rates_out.looked({peer.id: peer.bytes_out for peer in peers}, now)
    if memory.ends_asked is None or now - memory.ends_asked > CERTIFICATES_EVERY:
        memory.ends_asked = now
        memory.ends = {each.id: each.left for each in client.certificates()}
    return [_node(peer, state, memory) for peer in peers]


def _node(peer: PeerRow, state: MeshState, memory: Memory) -> Line:
    linked = peer.reached
    coming, going = memory.rates_in.of(peer.id), memory.rates_out.of(peer.id)
    seen = "now" if peer.seen is not None and peer.seen < 5 else DASH if peer.seen is None else span(peer.seen)
    name = peer.name or peer.id[:SHORT_ID]
    traffic, left = state.stats.get(peer.id), memory.ends.get(peer.id)
    return line(
        peer.id,
        (name, word(name)),
        (peer.id[:SHORT_ID], word(peer.id)),
        (peer.v4, number(_place(peer.v4))),
        (f"{peer.link}?" if peer.suspect else peer.link if linked else DASH, word(peer.link if linked else "")),
        (peer.via or DASH, word(peer.via)),
        (milliseconds(peer.rtt if linked else None), number(peer.rtt if linked else None)),
        (percent(peer.loss if linked else None), number(peer.loss if linked else None)),
        (rate(going), number(going[-1] if going else None)),
        (rate(coming), number(coming[-1] if coming else None)),
        (str(traffic.active_conns) if traffic else DASH, number(traffic.active_conns if traffic else None)),
        (seen, number(peer.seen)),
        (" ".join(peer.roles) or DASH, word(" ".join(peer.roles))),
        (" ".join(peer.tags) or DASH, word(" ".join(peer.tags))),
        (peer.version or DASH, word(peer.version)),
        (DASH if left is None else "ended" if left < 0 else span(left), number(left)),
    )


def rate(values: Sequence[float]) -> str:
    """Bytes a second as `1.2 MB/s`, behind the last few of them drawn."""
    return f"{sparkline(values)} {speed(values[-1])}" if values else DASH


def _place(v4: str) -> float | None:
    try:
        return float(int.from_bytes(bytes(map(int, v4.split(".")))))
    except ValueError:
        return None


NODES: Final = Table(
    "nodes",
    (
        text("NODE"), text("ID", 175), text("ADDRESS"), text("LINK"), text("VIA"), figure("RTT"), figure("LOSS"),
        figure("TX", 110), figure("RX", 110), figure("CONNS", 130), figure("SEEN"), text("ROLES", 120),
        text("TAGS", 145), text("VERSION", 155), figure("CERT", 140),
    ),
    nodes,
    "no other node is known yet. Type next: pulse invite",
    LIVELY,
)  # fmt: skip
