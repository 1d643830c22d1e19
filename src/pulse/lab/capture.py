"""What passes the interfaces of a host, as somebody with hands on them sees it: copies of packets, none changed.

Invariant: what was missed is counted, so that "nothing was seen" can be told from "nobody looked".
"""

import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Final

from pulse.lab.host import PATIENCE, Host
from pulse.lab.namespaces import inside

ETH_P_ALL: Final = 3
"""Only who asks for all sees what leaves, too."""

_IP_HEADER = 20
_UDP_HEADER = 8
_UDP = 17
_LARGEST = 1 << 17
_BUFFER = 32 << 20
_SO_RCVBUFFORCE = 33
_SOL_PACKET = 263
_PACKET_STATISTICS = 6


@dataclass(frozen=True, slots=True)
class Datagram:
    """One UDP datagram of the underlay (IPv4)."""

    source: tuple[str, int]
    target: tuple[str, int]
    payload: bytes

    @property
    def first(self) -> int:
        """Its first byte, which says what it is to the data plane."""
        return self.payload[0]


class Tap:
    """A copy of all that passes one interface of a host."""

    def __init__(self, listening: socket.socket) -> None:
        self._listening = listening

    def wait(self, wanted: Callable[[Datagram], object]) -> Datagram:
        """The next datagram that is wanted. Raises TimeoutError."""
        end = time.monotonic() + PATIENCE
        while time.monotonic() < end:
            for datagram in _read(self._listening.recv(_LARGEST)):
                if wanted(datagram):
                    return datagram
        raise TimeoutError("no such datagram passed")

    def rest(self) -> list[Datagram]:
        """All that has passed and was not yet looked at."""
        self._listening.setblocking(False)
        passed: list[Datagram] = []
        try:
            while True:
                passed += _read(self._listening.recv(_LARGEST))
        except BlockingIOError:
            return passed


@contextmanager
def tapped(host: Host) -> Iterator[Tap]:
    """See what passes the first interface of a host meanwhile."""
    with _opened(host, host.ports[0].interface) as listening:
        listening.settimeout(PATIENCE)
        yield Tap(listening)


@dataclass(slots=True)
class Search:
    """Packets that were looked through for a text; final once the block it comes from has ended."""

    packets: int = 0
    found: int = 0
    """Packets that had it in clear."""
    missed: int = 0
    """Packets that came too fast to be copied."""
    _over: threading.Event = field(default_factory=threading.Event, repr=False)


@contextmanager
def searched(host: Host, text: bytes, interface: str = "") -> Iterator[Search]:
    """Look for `text` in all that passes an interface of a host meanwhile; all interfaces if none is named."""
    with _opened(host, interface) as listening:
        listening.settimeout(0.05)
        search = Search()
        reading = threading.Thread(target=_search, args=(listening, text, search), daemon=True)
        reading.start()
        try:
            yield search
        finally:
            search._over.set()
            reading.join()
            statistics = listening.getsockopt(_SOL_PACKET, _PACKET_STATISTICS, 8)
            search.missed = int(struct.unpack("II", statistics)[1])


def _search(listening: socket.socket, text: bytes, search: Search) -> None:
    """Read until the block is over, then what waits by then: traffic that goes on would never let it end otherwise."""
    while True:
        over = search._over.is_set()
        if over:
            listening.setblocking(False)
        try:
            packet = listening.recv(_LARGEST)
        except (TimeoutError, BlockingIOError):
            if over:
                return
            continue
        search.packets += 1
        search.found += text in packet


@contextmanager
def _opened(host: Host, interface: str) -> Iterator[socket.socket]:
    with inside(host.namespace):
        # Without a protocol nothing is received before it is bound to the one interface.
        protocol = 0 if interface else socket.htons(ETH_P_ALL)
        listening = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, protocol)
    with listening:
        listening.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, _BUFFER)
        if interface:
            listening.bind((interface, ETH_P_ALL))
        yield listening


def _read(packet: bytes) -> Iterator[Datagram]:
    """The datagram of an IP packet, if it holds a whole one."""
    if len(packet) <= _IP_HEADER + _UDP_HEADER or packet[0] != 0x45 or packet[9] != _UDP:
        return
    source, target = socket.inet_ntoa(packet[12:16]), socket.inet_ntoa(packet[16:20])
    sport, dport = struct.unpack("!HH", packet[20:24])
    yield Datagram((source, sport), (target, dport), packet[28:])
