"""Plain UDP sockets on hosts of a lab, and what comes to them.

Invariant: that nothing came is never told by waiting, but by a later datagram that did come.
"""

import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress

from pulse.lab.host import PATIENCE, Host
from pulse.lab.namespaces import inside

_SO_RCVBUFFORCE = 33

Address = tuple[str, int]


class Datagrams:
    """One UDP socket of a host, on one port of all its addresses."""

    def __init__(self, host: Host, port: int = 0) -> None:
        with inside(host.namespace):
            self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, 32 << 20)
        self._socket.bind(("", port))
        self._socket.settimeout(PATIENCE)
        self.port: int = self._socket.getsockname()[1]
        self._host = host

    @property
    def address(self) -> Address:
        """Where others on the first network of its host reach it."""
        return str(self._host.v4.ip), self.port

    def send(self, to: Address, text: str = "hello") -> None:
        self._socket.sendto(text.encode(), to)

    def next(self) -> tuple[str, Address]:
        """The next datagram and where it came from. Raises TimeoutError."""
        data, source = self._socket.recvfrom(65536)
        return data.decode(), source

    def seen_by(self, other: "Datagrams") -> Address:
        """Send to a socket, and say which address it sees; what came there before is thrown away."""
        self.send(other.address, "who am I?")
        while (seen := other.next())[0] != "who am I?":
            pass
        return seen[1]

    def until(self, last: str) -> list[str]:
        """All that came before the datagram that says `last`. Raises TimeoutError."""
        heard: list[str] = []
        while (text := self.next()[0]) != last:
            heard.append(text)
        return heard

    def come(self) -> list[str]:
        """All that has come by now."""
        heard: list[str] = []
        self._socket.setblocking(False)
        with suppress(BlockingIOError):
            while True:
                heard.append(self.next()[0])
        self._socket.settimeout(PATIENCE)
        return heard

    def close(self) -> None:
        self._socket.close()


@contextmanager
def datagrams(*places: tuple[Host, int]) -> Iterator[list[Datagrams]]:
    """Open a socket at each (host, port); port 0 is any that is free."""
    with ExitStack() as stack:
        opened = []
        for host, port in places:
            opened.append(Datagrams(host, port))
            stack.callback(opened[-1].close)
        yield opened
