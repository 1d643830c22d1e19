"""The cable between two hosts, as somebody with hands on it sees and uses it: its tap is the lab's; forged datagrams.

Invariant: what is injected bears the addresses it is given, and nothing else of this process.
"""

import socket
import struct
from typing import Final

from pulse.lab.capture import Datagram, Tap, tapped
from pulse.lab.host import Host
from tests.e2e.mesh import PORT
from tests.namespace import inside

__all__ = ["FRAME", "RECORD", "Datagram", "Tap", "inject", "tapped", "throw"]

FRAME: Final = 0x21
RECORD: Final = 0x23
_UDP_HEADER = 8
_UDP = 17


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
