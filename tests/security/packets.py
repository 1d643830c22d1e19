"""IP packets made by hand: true ones to begin with, and whatever a test makes of them.

Invariant: checksums are right unless a test says otherwise, so that no kernel drops what the data plane should.
"""

import struct
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Final

ICMP, TCP, UDP, ICMP6 = 1, 6, 17, 58
_ECHO, _ECHO_6 = 8, 128
_SYN: Final = 0x02


@dataclass(frozen=True, slots=True)
class Ends:
    """From whom to whom."""

    src: str
    dst: str

    @property
    def packed(self) -> bytes:
        """Both addresses."""
        return ip_address(self.src).packed + ip_address(self.dst).packed


@dataclass(frozen=True, slots=True)
class Flow:
    """What the hops are told of a packet."""

    proto: int
    sport: int
    dport: int


def flow_of(packet: bytes) -> Flow:
    """The flow of a packet without options or fragments; type and code of ICMP stand for ports."""
    at, proto = (40, packet[6]) if packet[0] >> 4 == 6 else (20, packet[9])
    if proto in {ICMP, ICMP6}:
        return Flow(proto, packet[at], packet[at + 1])
    return Flow(proto, int.from_bytes(packet[at : at + 2]), int.from_bytes(packet[at + 2 : at + 4]))


def echo(ends: Ends, payload: bytes = b"are you there") -> bytes:
    """A ping."""
    is_v6 = ":" in ends.dst
    head = struct.pack("!BBHHH", _ECHO_6 if is_v6 else _ECHO, 0, 0, 7, 1)
    protocol = ICMP6 if is_v6 else ICMP
    summed = _pseudo(ends, protocol, len(head + payload)) if is_v6 else b""
    return packet(ends, protocol, _filled(head + payload, 2, summed))


def datagram(ends: Ends, sport: int, dport: int, payload: bytes = b"") -> bytes:
    """A UDP datagram."""
    body = struct.pack("!HHHH", sport, dport, 8 + len(payload), 0) + payload
    return packet(ends, UDP, _filled(body, 6, _pseudo(ends, UDP, len(body))))


def syn(ends: Ends, sport: int, dport: int) -> bytes:
    """The first packet of a TCP connection."""
    body = struct.pack("!HHIIBBHHH", sport, dport, 1, 0, 5 << 4, _SYN, 65_535, 0, 0)
    return packet(ends, TCP, _filled(body, 16, _pseudo(ends, TCP, len(body))))


def unreachable(ends: Ends, about: bytes) -> bytes:
    """The ICMP error "port unreachable" about a packet (IPv4)."""
    return packet(ends, ICMP, _filled(struct.pack("!BBHI", 3, 3, 0, 0) + about[:28], 2))


def packet(ends: Ends, protocol: int, body: bytes, *, length: int | None = None, fragment: int = 0) -> bytes:
    """An IP header before `body`; `length` is what it says of it, `fragment` its flags and offset field (IPv4)."""
    if ":" in ends.dst:
        size = len(body) if length is None else length
        six: bytes = struct.pack("!IHBB", 6 << 28, size, protocol, 64)
        return six + ends.packed + body
    size = 20 + len(body) if length is None else length
    head = struct.pack("!BBHHHBBH", 0x45, 0, size, 0x1234, fragment, 64, protocol, 0) + ends.packed
    return _filled(head, 10) + body


def _pseudo(ends: Ends, protocol: int, size: int) -> bytes:
    return ends.packed + struct.pack("!II", size, protocol)


def _filled(data: bytes, place: int, before: bytes = b"") -> bytes:
    """The same with its Internet checksum (RFC 1071) at that place."""
    padded = before + data + b"\0" * (len(data) % 2)
    total = sum(struct.unpack(f"!{len(padded) // 2}H", padded))
    while total > 0xFFFF:
        total = (total & 0xFFFF) + (total >> 16)
    checksum: bytes = (total ^ 0xFFFF).to_bytes(2)
    return data[:place] + checksum + data[place + 2 :]
