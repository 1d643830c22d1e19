"""Streams to destinations behind other nodes, and those that others open to what is behind this one.

Both ends ask the rules, and ask again when those change: the far end by who the session says is there. Invariant: a
live stream is always one that the rules allow.
"""

import logging
import socket
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from pulse.core.mesh import Mesh
from pulse.core.network.destinations import Destination, IPAddress, Premises
from pulse.core.network.streamcodes import StreamKind
from pulse.core.types import SHORT_ID, NodeId
from pulse.errors import StreamFailed
from pulse.net.links import Moved, RuleHits, Streams
from pulse.services.streams.answering import Answering
from pulse.services.streams.dialling import Dialling
from pulse.services.streams.opening import Opened, Opening
from pulse.services.streams.paths import Paths
from pulse.services.streams.register import Register

log = logging.getLogger(__name__)


@dataclass(slots=True)
class StreamsService:
    """Opens streams, and answers those of others."""

    mesh: Mesh
    streams: Streams
    premises: Callable[[], Premises]
    """What this node is, for the judgement of destinations; asked anew for each stream."""
    resolve: Callable[[str], Awaitable[list[IPAddress]]]
    connect: Callable[[IPAddress, int], Awaitable[socket.socket]]
    leads_to: Callable[[NodeId], bool]
    """True if a path leads to a node now."""
    register: Register = field(init=False)
    paths: Paths = field(init=False)
    opening: Opening = field(init=False)
    dialling: Dialling = field(init=False)
    answering: Answering = field(init=False)

    def __post_init__(self) -> None:
        """Compose them."""
        self.register = Register(self.mesh)
        self.paths = Paths(self.leads_to)
        self.opening = Opening(self.register, self.streams, self.paths)
        self.dialling = Dialling(self.register, self.premises, self.resolve, self.connect)
        self.answering = Answering(self.register, self.streams, self.dialling)

    async def open(self, node: NodeId, destination: Destination, kind: StreamKind) -> Opened:
        """A stream to a destination as the node sees it; returns once the far side is connected. Raises StreamFailed.

        Cancelled, it gives the stream up.
        """
        return await self.opening.open(node, destination, kind)

    def check(self, node: NodeId, destination: Destination) -> None:
        """Raise StreamFailed if this node would not even try."""
        self.opening.check(node, destination)

    def cut(self, moved: Moved, node: NodeId, destination: Destination) -> StreamFailed:
        """What cut a stream of ours that was, for people."""
        return self.opening.cut(moved, node, destination)

    def changed(self) -> None:
        """Other rules or approvals are in force, or times turned: what they no longer allow ends now."""
        denied = self.register.denied() | self.answering.withdrawn()
        self.register.cut(denied)
        if denied:
            nodes = sorted({each.node[:SHORT_ID] for each in denied})
            log.info("streams cut", extra={"count": len(denied), "node": nodes[0], "others": len(nodes) - 1})

    def routes_changed(self) -> None:
        """Paths came, or went."""
        self.paths.changed()

    def count(self) -> int:
        """Streams open now."""
        return self.register.total()

    def hits(self) -> RuleHits:
        """Streams that each rule decided on here: opened, or denied, each once."""
        return self.register.hits()

    async def run(self) -> None:
        """Answer streams of others, until cancelled; then all end."""
        try:
            await self.answering.run()
        finally:
            self.register.cut([*self.register.kept])
