"""The cable between two hosts, as somebody with hands on it sees and uses it: copies of datagrams, and forged ones.

Invariant: what is injected bears the addresses it is given, and nothing else of this process.
"""

import socket
import struct
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

from pulse.lab.host import Host
from tests.e2e.mesh import PATIENCE, PORT
from tests.namespace import inside

FRAME: Final = 0x21
RECORD: Final = 0x23
RCVBUFFORCE: Final = 33
"""The socket option of Linux that the socket module does not name: a receive buffer of any size."""
_ETH_P_ALL = 3
"""Only who asks for all sees what leaves, too."""
_IP_HEADER = 20
_UDP_HEADER = 8
_UDP = 17


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
        """The next datagram that is wanted."""
        end = time.monotonic() + PATIENCE
        while time.monotonic() < end:
            for datagram in _read(self._listening.recv(1 << 17)):
                if wanted(datagram):
                    return datagram
        raise TimeoutError("no such datagram passed")

    def rest(self) -> list[Datagram]:
        """All that has passed and was not yet looked at."""
        self._listening.setblocking(False)
        passed: list[Datagram] = []
        try:
            while True:
                passed += _read(self._listening.recv(1 << 17))
        except BlockingIOError:
            return passed


@contextmanager
def tapped(host: Host) -> Iterator[Tap]:
    """See what passes the first interface of a host meanwhile."""
    with inside(host.namespace):
        # Without a protocol nothing is received before it is bound to the one interface.
        listening = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, 0)
    with listening:
        listening.setsockopt(socket.SOL_SOCKET, RCVBUFFORCE, 64 << 20)
        listening.settimeout(PATIENCE)
        listening.bind((host.ports[0].interface, _ETH_P_ALL))
        yield Tap(listening)


def inject(host: Host, *datagrams: Datagram) -> None:
    """Put datagrams on the wire as if they came from their sources, whoever those are."""
    with inside(host.namespace):
        raw = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW)
    with raw:
        for datagram in datagrams:
            raw.sendto(_packet(datagram), (datagram.target[0], 0))


def throw(host: Host, target: str, *payloads: bytes) -> None:
    """Send plain datagrams from a host to the port of a node."""
    with inside(host.namespace):
        plain = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    with plain:
        for payload in payloads:
            plain.sendto(payload, (target, PORT))


def _packet(datagram: Datagram) -> bytes:
    """All of an IP packet but what the kernel fills in; without a checksum, which over IPv4 may be left out."""
    (source, sport), (target, dport) = datagram.source, datagram.target
    header = struct.pack("!HHHH", sport, dport, _UDP_HEADER + len(datagram.payload), 0)
    addresses = socket.inet_aton(source) + socket.inet_aton(target)
    return struct.pack("!BBHHHBBH", 0x45, 0, 0, 0, 0, 64, _UDP, 0) + addresses + header + datagram.payload


def _read(packet: bytes) -> Iterator[Datagram]:
    """The datagram of an IP packet, if it holds a whole one."""
    if len(packet) <= _IP_HEADER + _UDP_HEADER or packet[0] != 0x45 or packet[9] != _UDP:
        return
    source, target = socket.inet_ntoa(packet[12:16]), socket.inet_ntoa(packet[16:20])
    sport, dport = struct.unpack("!HH", packet[20:24])
    yield Datagram((source, sport), (target, dport), packet[28:])
