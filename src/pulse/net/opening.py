"""Streams that lead to destinations, as services that want one see them; `services/streams` opens them."""

import socket
from typing import Protocol

from pulse.core.network.destinations import Destination
from pulse.core.network.streamcodes import StreamKind
from pulse.core.types import NodeId
from pulse.net.links import Moved


class Opened(Protocol):
    """A stream that leads to its destination: hand it a socket, or cancel it, within 30 s."""

    def splice(self, sock: socket.socket) -> None:
        """Move what the socket, which is taken over, has to say and to hear; the data plane does."""
        ...

    async def closed(self) -> Moved:
        """Wait until it is over: bytes from the socket to the far end, and back; and what cut it, if anything did."""
        ...

    def cancel(self) -> None:
        """End it at once."""
        ...


class Opens(Protocol):
    """Who opens streams."""

    async def open(self, node: NodeId, destination: Destination, kind: StreamKind) -> Opened:
        """A stream to what is behind that node, once it leads there. Raises StreamFailed."""
        ...
